"""Who is let in, and how often, with a clock of the test's own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from paddlesrv.errors import Forbidden, RateLimited, Unauthenticated
from paddlesrv.server.access.gate import Caller, Gate
from paddlesrv.server.access.key_file import KeyEntry, digest_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, **keys: tuple[str, dict[str, object]]) -> None:
    lines = [
        KeyEntry(name=name, digest=digest_of(key.encode()), **limits).line  # type: ignore[arg-type]
        for name, (key, limits) in keys.items()
    ]
    path.write_text("\n".join(lines) + "\n")


def ask(caller: Caller) -> None:
    with caller:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "keys"
    write(
        found,
        alice=("A", {"rate": 2.0}),
        bob=("B", {"concurrent": 1}),
        ops=("O", {"admin": True}),
    )
    return found


@pytest.mark.parametrize("key", [None, b"", b"a", b"AA", b"A" * 10_000, b"\xff\x00", b"sha256:"])
def test_a_key_that_is_none_is_refused(path: Path, key: bytes | None) -> None:
    with pytest.raises(Unauthenticated):
        Gate(path, None).identify(key)


def test_the_digest_of_a_key_is_no_key(path: Path) -> None:
    with pytest.raises(Unauthenticated):
        Gate(path, None).identify(digest_of(b"A"))


def test_a_rate_is_one_keys_own(path: Path) -> None:
    clock = Clock()
    gate = Gate(path, 1.0, clock)
    alice, bob = gate.identify(b"A"), gate.identify(b"B")
    ask(alice)
    ask(alice)
    with pytest.raises(RateLimited, match="alice") as caught:
        ask(alice)
    assert caught.value.retry_after == pytest.approx(0.5)
    ask(bob)
    with pytest.raises(RateLimited, match="bob"):  # the server's rate, as it has none of its own
        ask(bob)
    clock.now += 0.5
    ask(alice)


def test_requests_at_once_are_counted_while_they_are_open(path: Path) -> None:
    bob = Gate(path, None).identify(b"B")
    with bob, pytest.raises(RateLimited, match="1 request open"):
        ask(bob)
    ask(bob)
    with pytest.raises(ZeroDivisionError), bob:
        _ = 1 / 0
    ask(bob)


def test_a_refusal_opens_nothing(path: Path) -> None:
    clock = Clock()
    alice = Gate(path, None, clock).identify(b"A")
    for _ in range(100):
        try:
            ask(alice)
        except RateLimited:
            continue
    clock.now += 1
    ask(alice)
    ask(alice)


def test_only_an_admin_key_changes_models(path: Path) -> None:
    gate = Gate(path, None)
    gate.identify(b"O").require_admin()
    with pytest.raises(Forbidden, match="alice"):
        gate.identify(b"A").require_admin()


def test_without_keys_all_clients_share_one_rate() -> None:
    gate = Gate(None, 1.0, Clock())
    ask(gate.identify(None))
    with pytest.raises(RateLimited, match="all clients together"):
        ask(gate.identify(b"anything"))


def test_a_reload_takes_new_keys_and_ends_old_ones(path: Path) -> None:
    gate = Gate(path, None)
    alice, bob = gate.identify(b"A"), gate.identify(b"B")
    with bob:
        write(path, bob=("B2", {}), carol=("C", {}))
        gate.reload_if_changed()
        with pytest.raises(Unauthenticated, match="no more"):
            ask(alice)
    for key in (b"A", b"B"):
        with pytest.raises(Unauthenticated):
            gate.identify(key)
    with pytest.raises(Unauthenticated):  # a connection that came with the old one
        ask(bob)
    ask(gate.identify(b"B2"))
    ask(gate.identify(b"C"))


def test_a_reload_gives_no_new_tokens(path: Path) -> None:
    gate = Gate(path, None, Clock())
    alice = gate.identify(b"A")
    ask(alice)
    ask(alice)
    gate.reload()
    assert gate.identify(b"A") is alice
    with pytest.raises(RateLimited):
        ask(alice)


@pytest.mark.parametrize("content", ["alice A", None])
def test_a_file_that_is_damaged_later_changes_nothing_and_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    gate = Gate(path, None)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with caplog.at_level(logging.ERROR):
        gate.reload_if_changed()
    assert "stay as they were" in caplog.text
    ask(gate.identify(b"A"))


def test_who_is_turned_away_is_counted_by_name_and_reason(path: Path) -> None:
    counted: list[tuple[str, str]] = []
    gate = Gate(path, None, Clock(), lambda name, reason: counted.append((name, reason)))
    for key in (None, b"nobody's"):
        with pytest.raises(Unauthenticated):
            gate.identify(key)
    alice, bob, ops = (gate.identify(key) for key in (b"A", b"B", b"O"))
    ask(alice)
    ask(alice)
    with pytest.raises(RateLimited):
        ask(alice)
    with bob, pytest.raises(RateLimited):
        ask(bob)
    ops.require_admin()
    with pytest.raises(Forbidden):
        bob.require_admin()
    write(path, ops=("O", {}))
    gate.reload()
    with pytest.raises(Unauthenticated):
        ask(alice)
    assert counted == [
        ("", "unauthenticated"),
        ("", "unauthenticated"),
        ("alice", "rate-limited"),
        ("bob", "rate-limited"),
        ("bob", "forbidden"),
        ("alice", "unauthenticated"),
    ]
