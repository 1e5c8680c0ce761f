"""Arrays as text: whatever numpy writes is read; what is written is what numpy writes."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import TensorSpec
from paddlesrv.server.protocols.written_numbers import read_numbers, write_numbers
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
DTYPES = ("float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool")


def declared(dtype: str, *inner: int, lod_level: int = 0) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=(-1, *inner), lod_level=lod_level)  # type: ignore[arg-type]


filled = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=4))
)


@given(filled)
def test_what_numpy_writes_is_read(data: np.ndarray) -> None:
    spec = declared(data.dtype.name, *[-1] * (data.ndim - 1))
    with np.printoptions(threshold=sys.maxsize):
        text = repr(data)
    found = read_numbers("x", text, spec)
    assert found.dtype == data.dtype
    np.testing.assert_allclose(found, data, rtol=1e-6)


@given(filled)
def test_what_is_written_is_as_numpy_writes_it_with_every_digit(data: np.ndarray) -> None:
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        text = repr(data)
    # Lines may break elsewhere, which means nothing.
    assert write_numbers(data).split() == text.split()
    found = read_numbers("x", write_numbers(data), declared(data.dtype.name, *data.shape[1:]))
    np.testing.assert_array_equal(found, data)


@given(filled)
def test_lists_of_any_depth_are_read(data: np.ndarray) -> None:
    spec = declared(data.dtype.name, *[-1] * (data.ndim - 1))
    found = read_numbers("x", str(data.tolist()), spec)
    np.testing.assert_array_equal(found, data)


def test_a_large_array_is_written_whole() -> None:
    data = np.arange(5000, dtype=np.int32)
    assert "..." not in write_numbers(data)
    assert write_numbers(data).endswith("4999], dtype=int32)")


@pytest.mark.parametrize(
    ("text", "spec", "wanted"),
    [
        ("1, 2, 3", declared("float32", 3), [[1, 2, 3]]),
        ("1 2 3", declared("int64", 3), [[1, 2, 3]]),
        ("1,2;3,4", declared("float32", 2), [[1, 2], [3, 4]]),
        ("1,2;3,4;", declared("float32", 2), [[1, 2], [3, 4]]),
        ("[1, 2]", declared("float32", 2), [[1, 2]]),
        ("[[1, 2]]", declared("float32", 2), [[1, 2]]),
        ("1,2,3,4", declared("float32", 2, 2), [[[1, 2], [3, 4]]]),
        ("1,2,3,4;5,6,7,8", declared("float32", 2, 2), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
        ("7", declared("int64", 1), [[7]]),
        ("array(7)", declared("int64", 1), [[7]]),
        ("array([[1.]], dtype=float32)", declared("float32", 1), [[1]]),
        ("array([True, False])", declared("bool", 2), [[True, False]]),
        ("4, 5, 6", declared("int64", 1, lod_level=1), [[4], [5], [6]]),
        ("[[4], [5]]", declared("int64", 1, lod_level=1), [[4], [5]]),
        ("any text", declared("bytes", 1), [[b"any text"]]),
    ],
)
def test_a_sample_may_come_without_its_batch(text: str, spec: TensorSpec, wanted: Any) -> None:
    assert read_numbers("x", text, spec).tolist() == wanted


@pytest.mark.parametrize(
    ("text", "dtype", "words"),
    [
        ("", "int64", []),
        ("1.5", "int64", ["'1.5'", "int64"]),
        ("one", "float32", ["'one'"]),
        ("300", "uint8", ["0 to 255"]),
        ("9" * 30, "int64", ["'x'"]),
        ("9" * 9999, "int64", ["'x'"]),
        ("[[1, 2], [3]]", "float32", ["different lengths"]),
        ("[1, [2, 3]]", "float32", ["'x'"]),
        ("[[1]", "float32", ["brackets"]),
        ("1]", "float32", ["brackets"]),
        ("[1][2]", "float32", ["brackets"]),
        ("array([1], dtype=__import__('os'))", "float32", ["no array"]),
        ("array([1", "float32", ["no array"]),
        ("[" * 100_000 + "1" + "]" * 100_000, "float32", ["'x'"]),
    ],
)
def test_what_is_no_array_is_refused(text: str, dtype: str, words: list[str]) -> None:
    try:
        found = read_numbers("x", text, declared(dtype, 3))
    except InvalidInput as error:
        said = f"{error.message} {error.context}"
        assert all(word in said for word in words), said
    else:
        assert not found.size
        assert not words


def test_a_text_as_long_as_it_may_be_takes_no_memory_of_its_square() -> None:
    text = " ".join(["1"] * 1000 + ["9" * 1_000_000])
    assert np.isinf(read_numbers("x", text, declared("float64", 1001))).sum() == 1


@settings(max_examples=DAMAGED)
@given(filled, st.integers(0, 1 << 60))
def test_damage_is_refused_or_another_array(data: np.ndarray, seed: int) -> None:
    spec = declared(data.dtype.name, *data.shape[1:])
    text = damaged(seed, write_numbers(data).encode()).decode(errors="replace")
    with contextlib.suppress(InvalidInput):
        assert read_numbers("x", text, spec).dtype == data.dtype
