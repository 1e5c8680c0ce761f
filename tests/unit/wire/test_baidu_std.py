"""Frames of bRPC: whole ones survive however they are cut; damaged ones are errors."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import Frame, FrameError, FrameReader, RpcMeta

LIMIT = 1000
DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))

frames = st.builds(
    lambda number, body, attachment: (number, body, attachment),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=80),
    st.binary(max_size=80),
)


def encoded(number: int, body: bytes, attachment: bytes) -> bytes:
    meta = RpcMeta(correlation_id=number)
    meta.request.service_name = "GeneralModelService"
    meta.request.method_name = "inference"
    return baidu_std.encode(meta, body, attachment)


def read(reader: FrameReader, parts: list[bytes]) -> list[Frame]:
    return [frame for part in parts for frame in reader.feed(part)]


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 1500), max_size=12))
def test_frames_survive_however_they_are_cut(
    sent: list[tuple[int, bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(encoded(*each) for each in sent)
    places = sorted({cut for cut in cuts if cut < len(data)})
    parts = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    reader = FrameReader(LIMIT)
    found = read(reader, parts)
    assert [(f.meta.correlation_id, f.body, f.attachment) for f in found] == sent
    assert not reader.waiting


def test_a_frame_can_come_byte_by_byte() -> None:
    data = encoded(7, b"body", b"attached")
    (found,) = read(FrameReader(LIMIT), [data[i : i + 1] for i in range(len(data))])
    assert (found.body, found.attachment) == (b"body", b"attached")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP" + bytes(8), "not with"),
        (baidu_std.HEADER.pack(b"PRPC", 4, 5), "meta of 5 bytes in a frame of 4"),
        (baidu_std.HEADER.pack(b"PRPC", 1 << 20, 1 << 19), "the limit is"),
        (baidu_std.HEADER.pack(b"PRPC", 2, 2) + b"\xff\xff", "meta that is none"),
        # What newer bRPC sends for more than 4 GB.
        (baidu_std.HEADER.pack(b"PRPC", 0xFFFFFFFF, 8) + bytes(8), "none|limit"),
    ],
)
def test_what_is_no_frame_is_an_error(data: bytes, text: str) -> None:
    with pytest.raises(FrameError, match=text):
        read(FrameReader(LIMIT), [data])


def test_of_a_frame_that_is_too_large_the_call_is_known_before_its_body_is_here() -> None:
    data = encoded(99, bytes(LIMIT + 1), b"")
    with pytest.raises(FrameError, match="the limit is 1000") as caught:
        read(FrameReader(LIMIT), [data[:200]])
    assert (caught.value.correlation_id, caught.value.too_large) == (99, True)


def test_an_attachment_that_is_longer_than_its_frame_is_an_error() -> None:
    meta = RpcMeta(correlation_id=5, attachment_size=50)
    with pytest.raises(FrameError, match="attachment of 50 bytes in 3") as caught:
        read(FrameReader(LIMIT), [baidu_std.encode(meta, b"abc")])
    assert caught.value.correlation_id == 5


@settings(max_examples=DAMAGED)
@given(frames, st.data())
def test_damage_is_an_error_or_another_frame_and_never_anything_else(
    sent: tuple[int, bytes, bytes], data: st.DataObject
) -> None:
    whole = bytearray(encoded(*sent))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        found = read(FrameReader(LIMIT), [bytes(whole[:cut]), bytes(whole[cut:])])
    except FrameError:
        return
    assert len(found) <= 1
