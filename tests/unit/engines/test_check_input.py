"""The seeded input fits any signature."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.engines.check_input import check_input
from paddlesrv.models.spec import ModelSpec, TensorSpec

_tensors = st.builds(
    TensorSpec,
    name=st.sampled_from(["x", "im_shape", "scale_factor"]),
    dtype=st.sampled_from(["float32", "int64", "int32", "uint8", "bool", "float16"]),
    shape=st.lists(st.sampled_from([-1, 1, 3, 5]), max_size=4).map(tuple),
)


def spec(*tensors: TensorSpec) -> ModelSpec:
    return ModelSpec(name="m", task="t", format="onnx", inputs=tensors)


@given(tensor=_tensors, rows=st.integers(1, 3))
def test_it_has_the_declared_type_and_shape_and_finite_numbers(tensor, rows):
    data = check_input(spec(tensor), rows)[tensor.name].data
    assert data.dtype == np.dtype(tensor.dtype)
    assert len(data.shape) == len(tensor.shape)
    assert all(
        size in (wanted, rows) or wanted == -1
        for size, wanted in zip(data.shape, tensor.shape, strict=True)
    )
    assert np.isfinite(data.astype(np.float64)).all()


def test_it_is_the_same_every_time():
    image = spec(TensorSpec(name="x", dtype="float32", shape=(-1, 3, 48, -1)))
    first, second = check_input(image, 2), check_input(image, 2)
    np.testing.assert_array_equal(first["x"].data, second["x"].data)
    assert first["x"].data.shape == (2, 3, 48, 96)


def test_sequences_have_offsets_from_0_to_their_rows():
    words = TensorSpec(name="w", dtype="int64", shape=(-1, 1), lod_level=1, batching="lod")
    tensor = check_input(spec(words), 3)["w"]
    assert tensor.lod == (0, 8, 16, 24)
    assert tensor.data.shape == (24, 1)


def test_a_detector_gets_the_size_of_its_image_and_scale_1():
    image = TensorSpec(name="image", dtype="float32", shape=(-1, 3, 608, 608))
    size = TensorSpec(name="im_shape", dtype="float32", shape=(-1, 2))
    scale = TensorSpec(name="scale_factor", dtype="float32", shape=(-1, 2))
    inputs = check_input(spec(image, size, scale))
    assert inputs["im_shape"].data.tolist() == [[608.0, 608.0]]
    assert inputs["scale_factor"].data.tolist() == [[1.0, 1.0]]


def test_an_encoder_gets_one_segment_all_of_which_is_looked_at():
    segments = TensorSpec(name="s", dtype="int64", shape=(-1, 8, 1), role="segments")
    mask = TensorSpec(name="m", dtype="float32", shape=(-1, 8, 1), role="mask")
    inputs = check_input(spec(segments, mask))
    assert not inputs["s"].data.any()
    assert inputs["m"].data.tolist() == [[[1.0]] * 8]
