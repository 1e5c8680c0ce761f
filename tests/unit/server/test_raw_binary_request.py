"""Triton's raw binary request: a body that is the bytes of a model's only input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.server.protocols.open_inference import decode_raw, is_raw


def spec(*inputs: TensorSpec) -> ModelSpec:
    return ModelSpec(name="m", task="tensors", format="onnx", inputs=inputs, outputs=())


def tensor(shape: tuple[int, ...], dtype: str = "float32", **more: str) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape, **more)  # type: ignore[arg-type]


@given(
    st.sampled_from(["bool", "uint8", "int16", "float16", "int64", "float64"]),
    st.integers(1, 5),
    st.booleans(),
)
def test_rows_are_as_many_as_there_are_bytes_for(dtype: str, rows: int, declared: bool) -> None:
    data = np.arange(rows * 6).reshape(rows, 2, 3).astype(dtype)
    model = spec(tensor((1 if declared else -1, 2, 3), dtype))
    request, forms = decode_raw(model, None, data.tobytes())
    found = request.inputs["x"].data
    assert (found.dtype, found.shape) == (data.dtype, data.shape)
    np.testing.assert_array_equal(found, data)
    assert forms.binary("anything")


@pytest.mark.parametrize(
    ("declared", "count", "shape"),
    [
        (tensor((-1, -1)), 7, (1, 7)),
        (tensor((-1, 3, -1)), 6, (1, 3, 2)),
        (tensor((4,), batching="whole"), 4, (4,)),
        (tensor((), batching="whole"), 1, ()),
    ],
)
def test_the_one_dimension_that_is_not_known_is_found(
    declared: TensorSpec, count: int, shape: tuple[int, ...]
) -> None:
    request, _ = decode_raw(spec(declared), None, bytes(4 * count))
    assert request.inputs["x"].data.shape == shape


@pytest.mark.parametrize(
    ("inputs", "size", "words"),
    [
        ((tensor((-1, 3)),), 13, "not as long as its shape"),
        ((tensor((4,), batching="whole"),), 12, "not as long as its shape"),
        ((tensor((-1, -1, -1)),), 12, "does not follow from its bytes"),
        ((tensor((-1,), "bytes"),), 12, "does not follow from its bytes"),
        ((tensor((-1, 3)), tensor((-1, 3))), 12, "has 2 inputs"),
        ((), 0, "has 0 inputs"),
    ],
)
def test_what_does_not_follow_from_the_bytes_is_refused(
    inputs: tuple[TensorSpec, ...], size: int, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        decode_raw(spec(*inputs), None, bytes(size))


def test_a_header_of_no_bytes_is_what_says_so() -> None:
    assert is_raw("0")
    assert is_raw("00")
    assert not any(is_raw(each) for each in (None, "", "1", "10", " 0", "-0", "٠"))
