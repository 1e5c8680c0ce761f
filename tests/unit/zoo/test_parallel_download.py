"""Several connections bring one file: only where the server proves ranges, and never spliced."""

from __future__ import annotations

import hashlib
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.zoo.download import Means, Wanted, download
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.partial import Partial
from paddlesrv.zoo.progress import SilentObserver
from tests.unit.zoo.web import Web, answers, cut, status, wrong_range

BODY = random.Random(11).randbytes(200_000)
OTHER = random.Random(12).randbytes(200_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
PIECE = 9_000
NEVER = Retry(delays=(), connect_delays=())
AT_ONCE = Retry(delays=(0.0, 0.0, 0.0), connect_delays=())


class Watcher(SilentObserver):
    def __init__(self) -> None:
        self.done: list[int] = []
        self.notes: list[str] = []

    def bytes(self, model: str, done: int, total: int | None) -> None:
        self.done.append(done)

    def note(self, text: str) -> None:
        self.notes.append(text)


def fetch(web: Web, target: Path, *, retry: Retry = NEVER, watcher: Watcher | None = None) -> str:
    means = Means(retry=retry, piece_bytes=PIECE, observer=watcher or Watcher())
    return download(Wanted(url=web.url + "/f", sha256=SHA256), target, means)


def ranges(web: Web) -> list[str]:
    return [request.headers["Range"] for request in web.requests if "Range" in request.headers]


def test_every_piece_is_asked_for_once_and_with_the_validator(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY)
    watcher = Watcher()
    assert fetch(web, tmp_path / "f", watcher=watcher) == SHA256
    assert (tmp_path / "f").read_bytes() == BODY
    assert sorted(ranges(web)) == sorted(
        f"bytes={start}-{min(start + PIECE, len(BODY)) - 1}" for start in range(0, len(BODY), PIECE)
    )
    assert all(request.headers["If-Range"] == '"one"' for request in web.requests[1:])
    assert watcher.done == sorted(watcher.done), "a bar never goes back"
    assert watcher.done[-1] == len(BODY)
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("options", [{"ranges": False}, {"etag": None}, {"etag": 'W/"weak"'}])
def test_without_proof_there_is_one_connection(web: Web, tmp_path: Path, options: dict) -> None:
    web.put("/f", BODY, **options)
    fetch(web, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(web.requests) <= 2
    assert web.bytes_sent == len(BODY)


def test_parts_that_nothing_holds_together_are_not_put_together(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY, etag=None)
    download(Wanted(url=web.url + "/f"), tmp_path / "f", Means(retry=NEVER, piece_bytes=PIECE))
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(ranges(web)) == 1, "a probe, and then the whole"


@given(allowed=st.integers(0, len(BODY)))
def test_cut_at_any_byte_the_next_run_fetches_only_the_rest(allowed: int) -> None:
    with tempfile.TemporaryDirectory() as name, Web() as web:
        target = Path(name, "f")
        web.put("/f", BODY)
        web.allowance = allowed
        if allowed < len(BODY):
            with pytest.raises(SourceUnreachable) as caught:
                fetch(web, target)
            assert not target.exists()
            kept = int(caught.value.context.get("kept", "0").split()[0])
        else:
            fetch(web, target)
            kept = len(BODY)
        before = web.bytes_sent
        web.allowance = None
        fetch(web, target)
        assert target.read_bytes() == BODY
        if kept < len(BODY):
            assert web.bytes_sent - before == len(BODY) - kept


@pytest.mark.parametrize(
    "fault",
    [
        answers(ranges=False),
        answers(etag='"two"'),
        answers(body=OTHER, etag='"two"', ranges=False),
        answers(body=OTHER[:100_000]),
        wrong_range(5),
        status(416),
    ],
    ids=["200", "other ETag", "changed", "other size", "other range", "416"],
)
@pytest.mark.parametrize("request_number", [1, 4])
def test_a_server_that_breaks_its_word_is_not_spliced(
    web: Web, tmp_path: Path, fault: object, request_number: int
) -> None:
    def right(handler: object, resource: object) -> None:
        handler.answer(resource)

    web.put("/f", BODY, faults=[right] * request_number + [fault])
    watcher = Watcher()
    fetch(web, tmp_path / "f", retry=AT_ONCE, watcher=watcher)
    assert (tmp_path / "f").read_bytes() == BODY
    assert any("does not keep to ranges" in note for note in watcher.notes)


def test_a_file_that_changes_between_runs_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    web.put("/f", OTHER)
    web.allowance = 60_000
    with pytest.raises(SourceUnreachable):
        fetch(web, tmp_path / "f")
    web.allowance = None
    web.put("/f", BODY, etag='"two"')
    fetch(web, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_one_broken_connection_costs_only_what_it_had_not_brought(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY, faults=[cut(PIECE), cut(100), cut(2000), status(500)])
    fetch(web, tmp_path / "f", retry=AT_ONCE)
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(BODY)


def test_a_server_that_takes_fewer_connections_gets_fewer(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY, faults=[cut(PIECE), cut(PIECE), status(429), status(503), status(429)])
    fetch(web, tmp_path / "f", retry=NEVER)
    assert (tmp_path / "f").read_bytes() == BODY
    assert web.bytes_sent == len(BODY)


def test_wrong_bytes_in_one_piece_are_found(web: Web, tmp_path: Path) -> None:
    rotten = bytearray(BODY)
    rotten[100_000] ^= 1
    web.put("/f", bytes(rotten))
    with pytest.raises(IntegrityError):
        fetch(web, tmp_path / "f")
    assert [p.name for p in tmp_path.iterdir()] == []


@pytest.mark.parametrize("damage", [b"", b"pieces1\n", b"\xff" * 400])
def test_damaged_notes_of_an_earlier_run_are_not_believed(
    web: Web, tmp_path: Path, damage: bytes
) -> None:
    web.put("/f", BODY)
    web.allowance = 100_000
    with pytest.raises(SourceUnreachable):
        fetch(web, tmp_path / "f")
    web.allowance = None
    (tmp_path / "f.part.pieces").write_bytes(damage)
    fetch(web, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_notes_of_bytes_that_are_not_there_are_not_believed(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY)
    web.allowance = 150_000
    with pytest.raises(SourceUnreachable):
        fetch(web, tmp_path / "f")
    web.allowance = None
    with (tmp_path / "f.part").open("r+b") as file:
        file.truncate(20_000)
    fetch(web, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_pieces_may_change_their_size_between_versions(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY)
    web.allowance = 100_000
    with pytest.raises(SourceUnreachable):
        fetch(web, tmp_path / "f")
    web.allowance = None
    means = Means(retry=NEVER, piece_bytes=50_000)
    download(Wanted(url=web.url + "/f", sha256=SHA256), tmp_path / "f", means)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_partial_file_says_what_is_here(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY)
    web.allowance = 100_000
    with pytest.raises(SourceUnreachable) as caught:
        fetch(web, tmp_path / "f")
    partial = Partial(tmp_path / "f.part", SilentObserver())
    try:
        assert f"{partial.here} bytes" in caught.value.context["kept"]
        assert partial.size <= partial.here <= 100_000
        assert partial.hexdigest() == hashlib.sha256(BODY[: partial.size]).hexdigest()
    finally:
        partial.close()
