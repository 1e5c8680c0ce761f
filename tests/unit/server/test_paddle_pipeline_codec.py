"""Paddle Serving's pipeline messages: every tensor survives; what is damaged is refused."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import DeadlineExceeded, EngineError, InvalidInput, NotFound, PaddlesrvError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.grpc.calls import parse
from paddlesrv.server.protocols import paddle_pipeline, paddle_serving
from paddlesrv.server.protocols.paddle_pipeline import (
    BYTES,
    TYPES,
    RequestMessage,
    ResponseMessage,
    decode_json,
    inputs,
    items,
    of_samples,
    read,
    write_error,
    write_outputs,
    write_results,
)
from paddlesrv.server.protocols.paddle_serving import GeneralRequest
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
NUMBERS = {code: kind for code, kind in TYPES.items() if kind.dtype != "object"}

SPEC = ModelSpec(
    name="m", task="tensors", format="onnx",
    inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
    aliases={"ex": "x", "why": "y"},
)  # fmt: skip


def elements(code: int) -> st.SearchStrategy[Any]:
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0)
    return st.tuples(st.just(code), arrays.arrays(NUMBERS[code].dtype, shapes))


def sent(code: int, data: np.ndarray) -> Any:
    request = RequestMessage(name="m")
    part = request.tensors.add(name="x", elem_type=code, shape=data.shape)
    getattr(part, TYPES[code].field).extend(data.ravel().tolist())
    return request


def saved(data: np.ndarray) -> Any:
    request = RequestMessage(name="m")
    file = io.BytesIO()
    np.save(file, data)
    request.tensors.add(name="x", elem_type=BYTES, byte_data=file.getvalue())
    return request


@given(st.sampled_from(sorted(NUMBERS)).flatmap(elements))
def test_a_tensor_survives(pair: tuple[int, np.ndarray]) -> None:
    code, data = pair
    (found,) = read(RequestMessage.FromString(sent(code, data).SerializeToString())).tensors
    assert (found.tensor.data.dtype, found.tensor.data.shape) == (data.dtype, data.shape)
    np.testing.assert_array_equal(found.tensor.data, data)


@given(st.sampled_from(sorted(NUMBERS)).flatmap(elements), st.booleans())
def test_a_saved_array_survives(pair: tuple[int, np.ndarray], fortran: bool) -> None:
    data = np.asfortranarray(pair[1]) if fortran else pair[1]
    (found,) = read(saved(data)).tensors
    assert (found.tensor.data.dtype, found.tensor.data.shape) == (data.dtype, data.shape)
    np.testing.assert_array_equal(found.tensor.data, data)


def test_nothing_is_unpickled() -> None:
    with pytest.raises(InvalidInput, match="no whole array of numbers"):
        read(saved(np.array([{"a": 1}], object)))
    with pytest.raises(InvalidInput, match="no saved array"):
        read(RequestMessage(tensors=[{"name": "x", "elem_type": BYTES, "byte_data": b"\x80\x04."}]))
    request = saved(np.zeros(2))
    request.tensors[0].byte_data = request.tensors[0].byte_data.replace(b"(2,)", b"(9,)")
    with pytest.raises(InvalidInput, match="no whole array of numbers"):
        read(request)


@given(st.sampled_from(sorted(NUMBERS)).flatmap(elements))
def test_an_answer_survives(pair: tuple[int, np.ndarray]) -> None:
    code, data = pair
    answer = ResponseMessage.FromString(
        write_outputs(SPEC, {"y": Tensor(data)}).SerializeToString()
    )
    assert (answer.err_no, list(answer.key)) == (0, ["why"])
    (part,) = answer.tensors
    assert (part.name, part.elem_type, tuple(part.shape)) == ("why", code, data.shape)
    np.testing.assert_array_equal(np.array(getattr(part, TYPES[code].field), data.dtype).ravel(),
                                  data.ravel())  # fmt: skip
    if data.dtype.kind != "f":
        assert json.loads(answer.value[0]) == data.tolist()


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ("1, 2, 3", [[1, 2, 3]]),
        ("1,2.5,3;4,5,-6e1;", [[1, 2.5, 3], [4, 5, -60]]),
        ("[1, 2, 3]", [[1, 2, 3]]),
        (repr(np.array([[1, -0.5, 1e-9]], np.float32)), [[1, -0.5, 1e-9]]),
        (repr(np.array([[1, 2, 3], [4, 5, 6]])), [[1, 2, 3], [4, 5, 6]]),
        (repr(np.array([1.0, 20.0, 3e30])), [[1, 20, 3e30]]),
        ("[[1, 2, 3], [4, 5, 6]]", [[1, 2, 3], [4, 5, 6]]),
    ],
)
@pytest.mark.parametrize("key", ["x", "ex"])
def test_numbers_travel_as_text(key: str, value: str, rows: list) -> None:
    (found,) = inputs(read(RequestMessage(key=[key], value=[value])), SPEC)
    assert found.name == "x"
    np.testing.assert_array_equal(found.tensor.data, np.array(rows, np.float32))


@pytest.mark.parametrize("value", ["", "a", "1,,2", "[", "[1, 2", "1,2", '{"a": 1}', "nan("])
def test_what_is_no_row_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        inputs(read(RequestMessage(key=["x"], value=[value])), SPEC)


def test_keys_and_values_go_together() -> None:
    with pytest.raises(InvalidInput, match="one value for each key"):
        read(RequestMessage(key=["x"]))
    with pytest.raises(InvalidInput, match="no input 'z'"):
        inputs(read(RequestMessage(key=["z"], value=["1"])), SPEC)


def test_a_task_is_asked_with_what_it_takes() -> None:
    request = read(RequestMessage(key=["image_0", "image_1"], value=["YWI=", "Yw=="]))
    assert [item.data for item in items(request, "image")] == [b"ab", b"c"]
    assert [item.data for item in items(request, "text")] == ["YWI=", "Yw=="]
    with pytest.raises(InvalidInput, match="base64"):
        items(read(RequestMessage(key=["image"], value=["?"])), "image")
    features = read(RequestMessage(key=["f"], value=["1,2;3,4"]))
    assert [item.data for item in items(features, "features")] == [[1, 2], [3, 4]]


class _Scored(msgspec.Struct):
    label: str
    score: float


class _Classes(msgspec.Struct):
    classes: list[_Scored]


def test_results_are_lists_by_field_and_classes_as_in_the_examples() -> None:
    results = [_Classes([_Scored(label, 0.5), _Scored("x", 0.25)]) for label in ("daisy", "rose")]
    answer = write_results(results)
    said = {k: json.loads(v) for k, v in zip(answer.key, answer.value, strict=True)}
    assert said["label"] == ["daisy", "rose"]
    assert said["prob"] == [0.5, 0.5]
    assert said["classes"][1][0] == {"label": "rose", "score": 0.5}


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (DeadlineExceeded("late"), 1), (NotFound("no"), 7), (InvalidInput("bad"), 9),
        (EngineError("failed"), 5), (PaddlesrvError("what"), 8),
    ],
)  # fmt: skip
def test_errors_have_the_ancestors_numbers(error: PaddlesrvError, number: int) -> None:
    answer = write_error(error, "the line")
    assert (answer.err_no, answer.err_msg) == (number, "the line")


def test_damage_is_refused_or_another_request() -> None:
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    texts = RequestMessage(name="m", key=["x", "image"], value=["1, 2, 3", "YWI="])
    originals = [sent(1, data), sent(4, data.astype(np.int16)), saved(data), texts]
    for original in originals:
        assert read(original).name == "m"
    bodies = [original.SerializeToString() for original in originals]
    for seed in range(DAMAGED):
        body = damaged(seed, bodies[seed % len(bodies)])
        with contextlib.suppress(InvalidInput):
            request = read(parse(RequestMessage, body))
            with contextlib.suppress(InvalidInput):
                items(request, "image")
            tensors = [*request.tensors, *inputs(request, SPEC)]
            paddle_serving.bind(GeneralRequest(tensors, ()), SPEC)


def test_damage_in_json_is_refused_or_another_request() -> None:
    tensor = {"name": "x", "elem_type": 1, "shape": [1, 3], "float_data": [1, "2.5", 3]}
    saved_data = base64.b64encode(saved(np.zeros(2)).tensors[0].byte_data).decode()
    originals: list[dict[str, Any]] = [
        {"name": "m", "key": ["x"], "value": ["1, 2, 3"], "logid": "5"},
        {"name": "m", "tensors": [tensor]},
        {"name": "m", "tensors": [{"name": "x", "elem_type": BYTES, "byte_data": saved_data}]},
    ]
    bodies = [json.dumps(original).encode() for original in originals]
    for body in bodies:
        assert decode_json(body).name == "m"
    for seed in range(DAMAGED):
        body = damaged(seed, bodies[seed % len(bodies)])
        with contextlib.suppress(InvalidInput):
            request = decode_json(body)
            tensors = [*request.tensors, *inputs(request, SPEC)]
            paddle_serving.bind(GeneralRequest(tensors, ()), SPEC)


def test_samples_become_values_by_key() -> None:
    assert of_samples([{"x": [1, 2]}, {"x": [3, 4]}]) == (("x", "[[1,2],[3,4]]"),)
    assert of_samples([{"t": "a"}, {"t": "b"}]) == (("t", "a"), ("t", "b"))
    assert of_samples([]) == ()
    with pytest.raises(InvalidInput, match="same keys"):
        of_samples([{"x": 1}, {"x": 1, "z": 2}])


def test_our_types_are_those_of_the_ancestor() -> None:
    assert {code: kind.name for code, kind in TYPES.items()}[12] == "STRING"
    assert paddle_pipeline.SERVICE == "baidu.paddle_serving.pipeline_serving.PipelineService"
