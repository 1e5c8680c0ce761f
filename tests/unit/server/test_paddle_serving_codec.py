"""Paddle Serving's messages: every tensor they carry survives; what is damaged is refused."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.protocols import paddle_serving
from paddlesrv.server.protocols.paddle_serving import (
    TYPES,
    RequestMessage,
    ResponseMessage,
    bind,
    decode,
    decode_json_request,
)
from paddlesrv.server.request import InferResponse

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
NUMBERS = {code: kind for code, kind in TYPES.items() if kind.dtype != "bytes"}


def spec(*inputs: str, outputs: tuple[str, ...] = ("y",), **aliases: str) -> ModelSpec:
    def tensors(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=name, dtype="float32", shape=(-1, 2)) for name in names)

    return ModelSpec(
        name="m", task="tensors", format="onnx", inputs=tensors(inputs), outputs=tensors(outputs),
        aliases=aliases,
    )  # fmt: skip


def message(code: int, data: np.ndarray, lod: tuple[int, ...] = ()) -> Any:
    """A request with one tensor, as a client makes it."""
    request = RequestMessage(fetch_var_names=["y"], log_id=5)
    part = request.tensor.add(name="x", alias_name="ex", elem_type=code, shape=data.shape, lod=lod)
    field = TYPES[code].field
    if field == "tensor_content":
        part.tensor_content = data.astype(data.dtype.newbyteorder("<")).tobytes()
    else:
        getattr(part, field).extend(data.ravel().tolist())
    return request


tensors = st.sampled_from(sorted(NUMBERS)).flatmap(
    lambda code: st.tuples(
        st.just(code),
        arrays.arrays(NUMBERS[code].dtype, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0)),
    )
)


@given(tensors)
def test_a_tensor_survives(sent: tuple[int, np.ndarray]) -> None:
    code, data = sent
    (found,) = decode(message(code, data).SerializeToString()).tensors
    assert (found.name, found.alias, found.tensor.lod) == ("x", "ex", None)
    assert found.tensor.data.dtype == data.dtype
    np.testing.assert_array_equal(found.tensor.data, data)


@given(tensors)
def test_an_answer_survives(sent: tuple[int, np.ndarray]) -> None:
    code, data = sent
    answer = InferResponse("m", "1", {"y": Tensor(data, (0, 1) if len(data) == 1 else None)})
    encoded = paddle_serving.encode(answer, spec("x", why="y"), (1, 2))
    said = ResponseMessage.FromString(encoded)
    (part,) = said.outputs[0].tensor
    assert (part.name, part.alias_name, part.elem_type) == ("y", "why", code)
    assert list(said.profile_time) == [1, 2]
    # It is read back as what clients send is: the fields are the same.
    request = RequestMessage(tensor=[part])
    (found,) = decode(request.SerializeToString()).tensors
    np.testing.assert_array_equal(found.tensor.data, data)


@given(tensors)
def test_json_says_the_same_as_protobuf(sent: tuple[int, np.ndarray]) -> None:
    from google.protobuf import json_format

    code, data = sent
    request = message(code, data)
    # As protobuf itself writes JSON: 64 bits as text, bytes as base64.
    body = json_format.MessageToJson(request, preserving_proto_field_name=True).encode()
    one, other = decode(request.SerializeToString()), decode_json_request(body)
    assert (one.fetch, one.log_id) == (other.fetch, other.log_id)
    np.testing.assert_array_equal(one.tensors[0].tensor.data, other.tensors[0].tensor.data)


def test_texts_and_offsets_survive() -> None:
    request = RequestMessage()
    request.tensor.add(name="t", elem_type=20, shape=[2], data=[b"a", "é".encode()], lod=[0, 1, 2])
    (found,) = decode(request.SerializeToString()).tensors
    assert found.tensor.data.tolist() == [b"a", "é".encode()]
    assert found.tensor.lod == (0, 1, 2)


def test_tensors_are_found_by_name_and_by_alias() -> None:
    model = spec("a", "b", outputs=("y", "z"), first="a", second="b", why="y")
    request = RequestMessage(fetch_var_names=["why", "z", "y"])
    for name, alias in (("", "first"), ("b", "elsewhere")):
        request.tensor.add(name=name, alias_name=alias, elem_type=1, shape=[1, 1], float_data=[1])
    general = paddle_serving.read(request)
    assert general.fits(model)
    assert not general.fits(spec("a", "b", "c", first="a"))
    bound = bind(general, model)
    assert list(bound.inputs) == ["a", "b"]
    assert bound.outputs == ("y", "z")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"elem_type": 6}, ["'x'", "elem_type", "6", "1 FP32"]),
        ({"shape": [2, 2]}, ["'x'", "2 values in float_data", "4 for FP32 [2, 2]"]),
        ({"shape": [-1, 2]}, ["'x'", "impossible shape"]),
        ({"name": ""}, ["neither name nor alias_name"]),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(
    change: dict[str, Any], words: list[str]
) -> None:
    request = RequestMessage()
    fields = {"name": "x", "elem_type": 1, "shape": [1, 2], "float_data": [1, 2]} | change
    request.tensor.add(**fields)
    with pytest.raises(InvalidInput) as caught:
        decode(request.SerializeToString())
    said = f"{caught.value.message} {caught.value.context}"
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("names", "fetch", "words"),
    [
        (["q"], [], ["no input 'q'", "first (a)"]),
        (["a", "first"], [], ["comes twice"]),
        (["a"], ["nope"], ["no output 'nope'", "why (y)"]),
    ],
)
def test_what_a_model_does_not_have_is_refused(
    names: list[str], fetch: list[str], words: list[str]
) -> None:
    request = RequestMessage(fetch_var_names=fetch)
    for name in names:
        request.tensor.add(name=name, elem_type=1, shape=[1], float_data=[1])
    with pytest.raises(InvalidInput) as caught:
        bind(paddle_serving.read(request), spec("a", first="a", why="y"))
    said = f"{caught.value.message} {caught.value.context}"
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"tensor": 1}', b'{"tensor": [{"float_data": ["x"]}]}',
        b'{"tensor": [{"name": "x", "shape": [1], "int64_data": ["9999999999999999999"]}]}',
        b'{"tensor": [{"name": "x", "elem_type": 2, "shape": [1], "int_data": [4294967296]}]}',
        b'{"tensor": [{"name": "x", "elem_type": 7, "shape": [1], "tensor_content": "?"}]}',
        b'{"log_id": "x"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_json_that_cannot_be_meant_so_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        request = decode_json_request(body)
        assert request.tensors, "an empty request is refused by the model"
        raise AssertionError(request)


@settings(max_examples=DAMAGED)
@given(tensors, st.data())
def test_damage_is_refused_or_another_request(
    sent: tuple[int, np.ndarray], data: st.DataObject
) -> None:
    body = bytearray(message(*sent).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    with contextlib.suppress(InvalidInput):
        decode(bytes(body[:cut]))


@settings(max_examples=DAMAGED)
@given(tensors, st.data())
def test_damage_in_json_is_refused_or_another_request(
    sent: tuple[int, np.ndarray], data: st.DataObject
) -> None:
    _, values = sent
    answer = InferResponse("m", "1", {"x": Tensor(values)})
    part = msgspec.json.decode(paddle_serving.encode_json(answer, spec("x")))["outputs"][0]
    body = bytearray(msgspec.json.encode({"tensor": part["tensor"]}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidInput):
        decode_json_request(bytes(body))
