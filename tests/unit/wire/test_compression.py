"""Compressed bodies: there and back, and never more than is allowed."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddlesrv_client.wire.compression import CompressionError, compress, decompress

KINDS = ("none", "snappy", "gzip", "zlib", "zstd")
PACKED = KINDS[1:]
DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))


@given(st.sampled_from(KINDS), st.binary(max_size=2000))
def test_there_and_back(kind: str, data: bytes) -> None:
    assert decompress(kind, compress(kind, data), len(data)) == data


def test_what_others_compress_is_read() -> None:
    assert decompress("gzip", gzip.compress(b"abc" * 99), 1000) == b"abc" * 99
    assert decompress("zlib", zlib.compress(b"abc" * 99, 9), 1000) == b"abc" * 99


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_is_refused_by_its_size(kind: str) -> None:
    bomb = compress(kind, bytes(1 << 24))
    assert len(bomb) < 1 << 20
    with pytest.raises(CompressionError, match="more than 1000 bytes") as caught:
        decompress(kind, bomb, 1000)
    assert caught.value.too_large


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_cut_off_or_has_more_behind_it_is_refused(kind: str) -> None:
    whole = compress(kind, bytes(range(256)) * 4)
    for data in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"x"):
        with pytest.raises(CompressionError):
            decompress(kind, data, 10_000)


@settings(max_examples=DAMAGED)
@given(st.sampled_from(PACKED), st.binary(min_size=1, max_size=200), st.data())
def test_damage_is_an_error_or_other_bytes(kind: str, data: bytes, choose: st.DataObject) -> None:
    packed = bytearray(compress(kind, data))
    packed[choose.draw(st.integers(0, len(packed) - 1))] ^= choose.draw(st.integers(1, 255))
    with contextlib.suppress(CompressionError):
        assert len(decompress(kind, bytes(packed), 5000)) <= 5000
