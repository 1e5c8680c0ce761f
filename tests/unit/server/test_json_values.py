"""Values of tensors in JSON: what loses nothing becomes an array, the rest is refused."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from paddlesrv.errors import InvalidInput
from paddlesrv.server.protocols.datatypes import from_bytes, from_json


def test_integers_of_64_bits_without_a_sign_keep_every_bit() -> None:
    values = [0, 1, (1 << 63) + 1, (1 << 64) - 1]
    for shape, data in (([4], values), ([2, 2], [values[:2], values[2:]])):
        array = from_json("x", "UINT64", shape, data)
        assert array.dtype == np.uint64
        assert array.ravel().tolist() == values


@pytest.mark.parametrize("wrong", [1 << 64, -1, 1.5, "1", None])
def test_what_is_no_such_integer_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        from_json("x", "UINT64", [2], [(1 << 64) - 1, wrong])


@pytest.mark.parametrize(("datatype", "value"), [("FP16", 65520.0), ("FP32", -1e39)])
def test_numbers_that_would_be_infinite_are_refused(datatype: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=f"'x' has values out of range for {datatype}"):
        from_json("x", datatype, [2], [1.0, value])
    assert np.isfinite(from_json("x", datatype, [1], [value / 10])).all()


def test_a_long_text_among_numbers_costs_no_more_than_itself() -> None:
    # numpy would give every element as much room as the longest: here 40 GB.
    data = ["a" * 100_000] + ["b"] * 100_000
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    try:
        for nested in (data, [data], [[each] for each in data]):
            with pytest.raises(InvalidInput, match="not FP32"):
                from_json("x", "FP32", [100_001], nested)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("data", [["a", None], ["a", None, "b"], [["a"], None, ["b"]], [None]])
def test_null_is_no_text_and_hides_none(data: list[object]) -> None:
    with pytest.raises(InvalidInput, match="not text"):
        from_json("x", "BYTES", [1], data)


@pytest.mark.parametrize("shape", [[0, 2**63], [2**64, 0], [0, 2**40, 2**40], [0, 2**62, 3]])
def test_a_shape_that_no_array_can_have_is_refused_although_it_has_no_values(
    shape: list[int],
) -> None:
    for datatype in ("FP32", "BYTES"):
        with pytest.raises(InvalidInput, match="impossible shape"):
            from_json("x", datatype, shape, [])
        with pytest.raises(InvalidInput, match="impossible shape"):
            from_bytes("x", datatype, shape, b"")
    assert from_bytes("x", "FP32", [0, 13], b"").shape == (0, 13)
