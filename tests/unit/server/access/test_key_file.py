"""The file of API keys: what is read back, what is refused, and what it never holds."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, NotFound, UsageError
from paddlesrv.server.access.key_file import (
    KeyEntry,
    add_key,
    digest_of,
    new_key,
    parse_keys,
    read_keys,
    remove_key,
)

DIGEST = "sha256:" + "ab" * 32

entries = st.builds(
    KeyEntry,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    digest=st.binary(min_size=32, max_size=32),
    rate=st.none() | st.integers(1, 10**9).map(lambda n: n / 1000),
    burst=st.none() | st.integers(1, 10**6).map(float),
    concurrent=st.none() | st.integers(1, 10**6),
    admin=st.booleans(),
)


@given(entries)
def test_a_line_is_read_back_as_it_was_meant(entry: KeyEntry) -> None:
    assert parse_keys(entry.line.encode(), "f") == (entry,)


@given(st.binary(max_size=300))
def test_any_bytes_are_keys_or_a_refusal_that_repeats_none_of_them(data: bytes) -> None:
    told = ""
    try:
        parse_keys(data, "f")
    except IntegrityError as error:
        told = error.message
    assert not told or re.fullmatch(r"f:[0-9]+ is no API key", told)


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice psk_in_clear",
        f"alice {DIGEST} rate=0",
        f"alice {DIGEST} rate=-1",
        f"alice {DIGEST} rate=nan",
        f"alice {DIGEST} rate=1 rate=2",
        f"alice {DIGEST} burst=0.5",
        f"alice {DIGEST} concurrent=0",
        f"alice {DIGEST} concurrent=1.5",
        f"alice {DIGEST} root",
        f"alice {DIGEST[:-1]}",
        f"alice {DIGEST.upper()}",
        f"../alice {DIGEST}",
        f"alice {DIGEST}\nalice sha256:{'cd' * 32}",
        f"alice {DIGEST}\nbob {DIGEST}",
    ],
)
def test_a_line_that_is_no_key_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_keys(b"# comment\n\n" + line.encode(), "keys")
    assert caught.value.message.startswith(f"keys:{3 + line.count(chr(10))} ")
    assert "psk_" not in caught.value.message + str(caught.value.context)


def test_a_file_with_keys_in_it_is_private_and_holds_no_key(tmp_path: Path) -> None:
    path, key = tmp_path / "keys", new_key()
    add_key(path, KeyEntry(name="alice", digest=digest_of(key.encode()), rate=5))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.encode() not in path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["keys"]
    (entry,) = read_keys(path)
    assert (entry.name, entry.rate, entry.digest) == ("alice", 5, digest_of(key.encode()))


def test_adding_and_removing_leaves_comments_other_keys_and_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of the shop\nshop {DIGEST}")
    path.chmod(0o640)
    add_key(path, KeyEntry(name="bob", digest=bytes(32)))
    assert [entry.name for entry in read_keys(path)] == ["shop", "bob"]
    remove_key(path, "bob")
    assert path.read_text() == f"# of the shop\nshop {DIGEST}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(NotFound):
        remove_key(path, "bob")


def test_a_file_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"alice {DIGEST}\n")
    path.chmod(0o666)
    with pytest.raises(UsageError, match="everybody"):
        read_keys(path)


def test_no_key_is_made_twice() -> None:
    made = {new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(key) >= 43 for key in made)
