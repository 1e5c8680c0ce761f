"""Values of tensors in JSON: what loses nothing becomes an array, the rest is refused."""

from __future__ import annotations

import numpy as np
import pytest

from paddlesrv.errors import InvalidInput
from paddlesrv.server.protocols.datatypes import from_json


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
