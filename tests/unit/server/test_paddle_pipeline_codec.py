"""The pipeline service's messages: every tensor survives; what is damaged is refused."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import (
    DeadlineExceeded,
    EngineError,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from paddlesrv.server.protocols import paddle_pipeline
from paddlesrv.server.protocols.npy import read_npy
from paddlesrv.server.protocols.paddle_pipeline import (
    BYTES,
    PROFILE,
    STRING,
    TYPES,
    RequestMessage,
    ResponseMessage,
    decode,
    decode_json,
)
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))


def saved(data: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, data, allow_pickle=True)
    return file.getvalue()


def message(code: int, data: np.ndarray, lod: tuple[int, ...] = ()) -> Any:
    """A request with one tensor, as the old client packs it."""
    request = RequestMessage()
    part = request.tensors.add(name="x", elem_type=code, shape=data.shape, lod=lod)
    if code == BYTES:
        part.byte_data = saved(data)
    elif code == STRING:
        part.str_data.extend(data.ravel().tolist())
    else:
        getattr(part, TYPES[code].field).extend(data.ravel().tolist())
    return request


shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)
typed = st.sampled_from(sorted(TYPES)).flatmap(
    lambda code: st.tuples(st.just(code), arrays.arrays(TYPES[code].dtype, shapes))
)
dtypes = sorted({kind.dtype for kind in TYPES.values()} | {">f4", ">i8", "uint32", "uint64"})
files = st.sampled_from(dtypes).flatmap(
    lambda dtype: st.tuples(st.just(BYTES), arrays.arrays(dtype, shapes))
)
tensors = typed | files


@given(tensors)
def test_a_tensor_survives(sent: tuple[int, np.ndarray]) -> None:
    code, data = sent
    found = decode(message(code, data).SerializeToString()).tensors["x"]
    assert (found.data.dtype.name, found.data.shape, found.lod) == (
        data.dtype.name, data.shape, None,
    )  # fmt: skip
    assert found.data.dtype.isnative
    np.testing.assert_array_equal(found.data, data)


@given(tensors)
def test_json_says_the_same_as_protobuf(sent: tuple[int, np.ndarray]) -> None:
    request = message(*sent)
    request.key.append("k")
    request.value.append("v")
    body = json_format.MessageToJson(request, preserving_proto_field_name=True)
    one, other = decode(request.SerializeToString()), decode_json(_loads(body))
    assert one.texts == other.texts == {"k": "v"}
    np.testing.assert_array_equal(one.tensors["x"].data, other.tensors["x"].data)


def _loads(body: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


@given(st.dictionaries(st.text(), st.text()))
def test_texts_survive_both_ways(pairs: dict[str, str]) -> None:
    pairs.pop(PROFILE, None)
    request = RequestMessage(key=pairs.keys(), value=pairs.values())
    assert list(decode(request.SerializeToString()).texts.items()) == list(pairs.items())
    said = ResponseMessage.FromString(paddle_pipeline.write(pairs).SerializeToString())
    assert dict(zip(said.key, said.value, strict=True)) == pairs
    found = msgspec.json.decode(paddle_pipeline.encode_json(pairs))
    assert dict(zip(found["key"], found["value"], strict=True)) == pairs


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=3)))
def test_columns_first_is_read_as_it_is_meant(data: np.ndarray) -> None:
    np.testing.assert_array_equal(read_npy("x", saved(np.asfortranarray(data))), data)


def test_texts_of_several_pieces_are_one_and_of_a_shape_are_many() -> None:
    request = RequestMessage()
    request.tensors.add(name="one", elem_type=STRING, str_data=["ab", "c"])
    request.tensors.add(name="many", elem_type=STRING, str_data=["ab", "c"], shape=[2], lod=[0, 2])
    found = decode(request.SerializeToString())
    assert found.texts == {"one": "abc"}
    assert found.tensors["many"].data.tolist() == [b"ab", b"c"]
    assert found.tensors["many"].lod == (0, 2)


def test_the_key_for_times_is_no_input() -> None:
    found = decode(RequestMessage(key=[PROFILE], value=["1"], name="uci").SerializeToString())
    assert (found.texts, found.profile, found.name) == ({}, True, "uci")


def tensor(**fields: Any) -> Any:
    return {"name": "x", "elem_type": 1, "shape": [2], "float_data": [1, 2]} | fields


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"key": ["a"]}, ["1 keys, 0 values"]),
        ({"key": ["a", "a"], "value": ["1", "2"]}, ["'a'", "twice"]),
        ({"tensors": [tensor(name="")]}, ["no name"]),
        ({"tensors": [tensor(), tensor()]}, ["'x'", "twice"]),
        ({"tensors": [tensor(shape=[3])]}, ["'x'", "2 values in float_data", "3 for [3]"]),
        ({"tensors": [tensor(shape=[-2])]}, ["'x'", "impossible shape"]),
        ({"tensors": [tensor(elem_type=10)]}, ["'x'", "10", "1 FP32", "13 BYTES"]),
        ({"tensors": [tensor(elem_type=8, int_data=[1, 200])]}, ["'x'", "-128 to 127"]),
        ({"tensors": [tensor(elem_type=7, uint32_data=[1, 256])]}, ["'x'", "0 to 255"]),
        ({"tensors": [tensor(elem_type=BYTES)]}, ["'x'", "np.save"]),
        ({"tensors": [tensor(elem_type=STRING, str_data=["a"])]}, ["'x'", "1 values", "2 for"]),
    ],
)
def test_what_contradicts_itself_is_refused(request_: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(RequestMessage(**request_).SerializeToString())
    said = f"{caught.value.message} {caught.value.context}"
    assert all(word in said for word in words), said


def with_header(header: bytes) -> bytes:
    """A file of numpy's with a header by hand, and four bytes of data."""
    header += b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4)


def test_a_header_made_by_hand_can_be_read() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }"
    assert read_npy("x", with_header(header)).tolist() == [[0.0]]


class Trap:
    """A pickle that would be noticed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize(
    "content",
    [
        saved(np.array([Trap()], dtype=object)),
        pickle.dumps(Trap()),
        b"PK\x03\x04 of np.savez",
        saved(np.ones(3, np.float32)).replace(b"(3,)", b"(9,)"),
        saved(np.ones(3, np.float32)).replace(b"(3,), }", b"(3**9,)"),
        saved(np.ones(3, np.float32)).replace(b"<f4", b"<f9"),
        saved(np.zeros(2, [("a", "f4"), ("b", "i8")])),
        saved(np.array(["text"])),
        saved(np.ones(3))[:40],
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x02\x00",
        b"\x93NUMPY\x07\x00" + saved(np.ones(3))[8:],
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 3000 + b"x"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, " + b"1, " * 40 + b"}"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        read_npy("x", content)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (InvalidInput("x"), 9),
        (PayloadTooLarge("x"), 9),
        (NotFound("x"), 7),
        (Unavailable("x"), 6),
        (DeadlineExceeded("x"), 1),
        (EngineError("x"), 5),
    ],
)
def test_errors_have_the_pipelines_numbers(error: Any, number: int) -> None:
    said = paddle_pipeline.write_error(error, "words")
    assert (said.err_no, said.err_msg) == (number, "words")


@settings(max_examples=DAMAGED)
@given(tensors, st.integers(0, 1 << 60))
def test_damage_is_refused_or_another_request(sent: tuple[int, np.ndarray], seed: int) -> None:
    body = message(*sent)
    body.key.append("image")
    body.value.append("aGVsbG8=")
    with contextlib.suppress(InvalidInput):
        decode(damaged(seed, body.SerializeToString()))


@settings(max_examples=DAMAGED)
@given(tensors, st.integers(0, 1 << 60))
def test_damage_in_json_is_refused_or_another_request(
    sent: tuple[int, np.ndarray], seed: int
) -> None:
    body = json_format.MessageToJson(message(*sent), preserving_proto_field_name=True)
    # Other JSON than an object is refused before.
    with contextlib.suppress(InvalidInput, msgspec.MsgspecError, UnicodeDecodeError):
        decode_json(msgspec.json.decode(damaged(seed, body.encode()), type=dict[str, Any]))
