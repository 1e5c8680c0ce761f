"""The encrypted file: what goes in comes out, and what was changed is refused."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError
from paddlesrv.sealing import container
from paddlesrv.sealing.container import CHUNK_BYTES, TAG_BYTES, Member, is_inside, read, read_head

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def sealed(contents: list[bytes], key: bytes = KEY, model: str = "m", version: str = "1") -> bytes:
    out = io.BytesIO()
    members = [
        (Member(path=f"m/{number}", size=len(content), network=bool(number % 2)), [content])
        for number, content in enumerate(contents)
    ]
    container.write(
        out, key, model=model, version=version, task="tensors", format="onnx", members=members
    )
    return out.getvalue()


def opened(path: Path, key: bytes = KEY) -> list[bytes]:
    _, members = read(path, key)
    return [b"".join(content) for _, content in members]


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    path = tmp_path / "m.sealed"

    def write(data: bytes) -> Path:
        path.write_bytes(data)
        return path

    return write


SIZES = st.one_of(
    st.integers(0, 300),
    st.integers(-3, 3).map(lambda near: CHUNK_BYTES + near),
    st.integers(-120, 3).map(lambda near: 2 * CHUNK_BYTES + near),
)


@given(st.lists(SIZES, max_size=4), st.integers(0, 2**32))
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_what_goes_in_comes_out(put: Callable[[bytes], Path], sizes: list[int], seed: int) -> None:
    chance = random.Random(seed)
    contents = [chance.randbytes(size) for size in sizes]
    data = sealed(contents)
    path = put(data)
    assert opened(path) == contents
    head = read_head(path)
    assert (head.model, head.version, head.format) == ("m", "1", "onnx")
    assert all(content not in data for content in contents if len(content) > 16)


def test_every_file_has_a_key_of_its_own(put: Callable[[bytes], Path]) -> None:
    one, other = sealed([b"x" * 100]), sealed([b"x" * 100])
    assert one[-100:] != other[-100:]


def test_a_thousand_changed_bytes_are_refused(put: Callable[[bytes], Path]) -> None:
    chance = random.Random(7)
    data = sealed([b"labels", chance.randbytes(CHUNK_BYTES + 5000), b""])
    # Half of them near the beginning, where a head and an index could be misread.
    places = [chance.randrange(600) for _ in range(500)]
    places += [chance.randrange(len(data)) for _ in range(500)]
    refused = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= chance.randrange(1, 256)
        with pytest.raises(IntegrityError):
            opened(put(bytes(damaged)))
        refused += 1
    assert refused == 1000


@pytest.mark.parametrize("tail", [CHUNK_BYTES, 1000])
def test_what_is_cut_off_is_refused(put: Callable[[bytes], Path], tail: int) -> None:
    data = sealed([random.Random(1).randbytes(2 * CHUNK_BYTES + tail)])
    whole = CHUNK_BYTES + TAG_BYTES
    start = len(data) - (len(data) - 200) // whole * whole
    lengths = {0, 1, 7, 8, 11, 12, 50, len(data) // 2, len(data) - 1, len(data) - TAG_BYTES}
    # At the very end of a chunk, where what is left decrypts.
    head = len(data) - _body(data)
    lengths |= {head, head + whole, head + 2 * whole, start}
    for length in sorted(lengths):
        with pytest.raises(IntegrityError):
            opened(put(data[:length]))


def _body(data: bytes) -> int:
    (length,) = container._LENGTH.unpack(data[8:12])
    return len(data) - 12 - length


def test_chunks_cannot_be_moved_doubled_or_taken_from_another_file(
    put: Callable[[bytes], Path],
) -> None:
    data = sealed([random.Random(2).randbytes(3 * CHUNK_BYTES)])
    other = sealed([random.Random(2).randbytes(3 * CHUNK_BYTES)])
    start, whole = len(data) - _body(data), CHUNK_BYTES + TAG_BYTES
    first, second = data[start : start + whole], data[start + whole : start + 2 * whole]
    rest = data[start + 2 * whole :]
    for forged in (
        data[:start] + second + first + rest,
        data[:start] + first + first + rest,
        data[:start] + first + rest,
        data[:start] + first + second + second + rest,
        data[:start] + other[start : start + whole] + second + rest,
        other[:start] + data[start:],
        data + b"\0",
        data + rest,
    ):
        with pytest.raises(IntegrityError):
            opened(put(forged))


def test_a_name_cannot_be_put_on_another_model(put: Callable[[bytes], Path]) -> None:
    data = sealed([b"content"], model="right", version="v1")
    for forged in (data.replace(b"right", b"wrong"), data.replace(b'"v1"', b'"v2"')):
        assert forged != data
        with pytest.raises(IntegrityError):
            opened(put(forged))


def test_another_key_is_told_from_damage(put: Callable[[bytes], Path]) -> None:
    path = put(sealed([b"content"]))
    with pytest.raises(IntegrityError, match="another key") as raised:
        opened(path, OTHER)
    text = f"{raised.value} {raised.value.context} {raised.value.hints}"
    assert KEY.hex() not in text
    assert OTHER.hex() not in text


def test_a_file_that_grows_while_it_is_encrypted_is_refused() -> None:
    with pytest.raises(IntegrityError, match="changes while"):
        container.write(
            io.BytesIO(), KEY, model="m", version="1", task="t", format="onnx",
            members=[(Member(path="m/a", size=3), [b"four"])],
        )  # fmt: skip


@pytest.mark.parametrize("path", ["", "/etc/x", "../x", "a/../../x", "a\0b", "a\\..\\b"])
def test_paths_stay_inside(path: str, put: Callable[[bytes], Path]) -> None:
    assert not is_inside(path)
    out = io.BytesIO()
    container.write(
        out, KEY, model="m", version="1", task="t", format="onnx",
        members=[(Member(path=path, size=1), [b"x"])],
    )  # fmt: skip
    with pytest.raises(IntegrityError):
        opened(put(out.getvalue()))


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_are_more_than_refused(put: Callable[[bytes], Path], data: bytes) -> None:
    for forged in (data, container.MAGIC + data, container.MAGIC + b"\0\0\0\x10" + data):
        with pytest.raises(IntegrityError):
            opened(put(forged))
