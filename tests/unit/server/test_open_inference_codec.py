"""The Open Inference Protocol over HTTP: every tensor survives, as JSON and as bytes; what is
damaged is refused."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import InvalidInput
from paddlesrv.models.tensor import Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import FROM_NUMPY, TO_NUMPY, to_bytes
from paddlesrv.server.protocols.open_inference import OutputForms, decode, encode
from paddlesrv.server.request import InferResponse
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))

shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0)


def of_type(name: str) -> st.SearchStrategy[np.ndarray]:
    if name == "bytes":
        elements = st.text().map(str.encode)
        return arrays.arrays(object, shapes, elements=elements, fill=st.just(b""))
    finite = {"allow_nan": False, "allow_infinity": False}
    elements = arrays.from_dtype(np.dtype(name), **(finite if name.startswith("float") else {}))
    return arrays.arrays(name, shapes, elements=elements)


any_type = st.sampled_from(sorted(TO_NUMPY.values())).flatmap(of_type)
in_json = st.sampled_from(sorted(set(TO_NUMPY.values()) - {"float16"})).flatmap(of_type)


def values(data: np.ndarray) -> list[Any]:
    return [v.decode() if isinstance(v, bytes) else v for v in data.ravel().tolist()]


def in_bytes(tensors: dict[str, np.ndarray]) -> tuple[bytes, str]:
    """A body with tensors as bytes, and the length of its JSON."""
    blobs = [to_bytes(data) for data in tensors.values()]
    inputs = [
        {
            "name": name,
            "datatype": FROM_NUMPY[dtype_name(data)],
            "shape": data.shape,
            "parameters": {"binary_data_size": len(blob)},
        }
        for (name, data), blob in zip(tensors.items(), blobs, strict=True)
    ]
    header = json.dumps({"id": "1", "inputs": inputs}).encode()
    return b"".join([header, *blobs]), str(len(header))


def as_json(tensors: dict[str, np.ndarray]) -> bytes:
    inputs = [
        {
            "name": name,
            "datatype": FROM_NUMPY[dtype_name(data)],
            "shape": data.shape,
            "data": values(data),
        }
        for name, data in tensors.items()
    ]
    return json.dumps({"inputs": inputs, "outputs": [{"name": "y"}]}).encode()


def same(found: np.ndarray, data: np.ndarray) -> None:
    assert (dtype_name(found), found.shape) == (dtype_name(data), data.shape)
    np.testing.assert_array_equal(found, data)


@given(any_type, in_json)
def test_tensors_survive_as_bytes(x: np.ndarray, z: np.ndarray) -> None:
    body, length = in_bytes({"x": x, "z": z})
    request, _ = decode("m", None, body, length)
    assert list(request.inputs) == ["x", "z"]
    same(request.inputs["x"].data, x)
    same(request.inputs["z"].data, z)


@given(in_json)
def test_a_tensor_survives_as_json(x: np.ndarray) -> None:
    request, _ = decode("m", None, as_json({"x": x}), None)
    same(request.inputs["x"].data, x)
    assert request.outputs == ("y",)


@given(any_type, st.booleans())
def test_an_answer_survives(y: np.ndarray, binary: bool) -> None:
    response = InferResponse("m", "1", {"y": Tensor(y)})
    body, length = encode(response, OutputForms({}, binary))
    told = json.loads(body[:length])["outputs"][0]
    assert (told["datatype"], told["shape"]) == (FROM_NUMPY[dtype_name(y)], list(y.shape))
    if "data" in told:
        assert told["data"] == values(y)
    else:
        assert body[length:] == to_bytes(y)
        assert told["parameters"]["binary_data_size"] == len(to_bytes(y))


def test_bytes_that_are_no_text_have_no_form_in_json() -> None:
    response = InferResponse("m", "1", {"y": Tensor(np.array([b"\xff"], object))})
    with pytest.raises(InvalidInput, match="'y' has bytes that are no text"):
        encode(response, OutputForms({}, False))
    body, length = encode(response, OutputForms({}, True))
    assert body[length:] == b"\x01\0\0\0\xff"


@settings(max_examples=DAMAGED)
@given(in_json, st.integers(0, 1 << 60))
def test_damage_in_json_is_refused_or_another_request(x: np.ndarray, seed: int) -> None:
    with contextlib.suppress(InvalidInput):
        decode("m", None, damaged(seed, as_json({"x": x})), None)


@settings(max_examples=DAMAGED)
@given(any_type, st.integers(0, 1 << 60), st.integers(-2, 2))
def test_damage_among_bytes_is_refused_or_another_request(
    x: np.ndarray, seed: int, off: int
) -> None:
    body, length = in_bytes({"x": x, "z": np.arange(3, dtype=np.int16)})
    with contextlib.suppress(InvalidInput):
        decode("m", None, damaged(seed, body), str(int(length) + off * (seed % 3 == 0)))


@settings(max_examples=DAMAGED)
@given(st.data())
def test_wrong_fields_are_refused_or_another_request(data: st.DataObject) -> None:
    """Sound JSON whose fields are of other types, sizes and depths than they should be."""
    message = json.loads(as_json({"x": np.arange(6, dtype=np.float32).reshape(2, 3)}))
    tensor = message["inputs"][0]
    odd: Any = data.draw(
        st.sampled_from(
            [None, -1, 0, 1 << 70, 1e308, "FP32", "UINT64", "BYTES", "", [], {}, [[]], [-1, -6],
             [1 << 40, 1 << 40], [1.5], [[1, 2], [3]], [None] * 6, ["a"] * 6, [True] * 6,
             [[[[1]]]] * 6, {"binary_data_size": 24}, {"binary_data_size": -1}, True]
        )
    )  # fmt: skip
    data.draw(st.sampled_from([tensor, message]))[
        data.draw(
            st.sampled_from(
                ["name", "datatype", "shape", "data", "parameters", "inputs", "outputs"]
            )
        )
    ] = odd
    with contextlib.suppress(InvalidInput):
        decode("m", None, json.dumps(message).encode(), None)
