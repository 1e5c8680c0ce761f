"""Products of a column and a row, which oneDNN computes from memory that nobody wrote."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.outer_product import has_outer_product
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from tests.standins import products
from tests.standins.products import PRODUCTS


@pytest.fixture(scope="module", params=["pir", "program"])
def written(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    products.write(directory, pir=request.param == "pir")
    return directory


@pytest.mark.parametrize("name", PRODUCTS)
def test_they_are_found_in_both_formats(written, name):
    signature = read_signature(written / name)
    program = (written / name / signature.program).read_bytes()
    assert has_outer_product(signature.format, program) is PRODUCTS[name].outer


@pytest.mark.parametrize("name", PRODUCTS)
def test_whatever_the_cpu_the_answer_is_the_product(written, name):
    signature = read_signature(written / name)
    spec = ModelSpec(
        name=name,
        task="features",
        format=signature.format,
        program=signature.program,
        params=signature.params,
        inputs=signature.inputs,
        outputs=signature.outputs,
    )
    engine = load_engine(spec, written / name, EngineOptions(engine="paddle"))
    for batch in (1, 2, 3):
        random = np.random.default_rng(batch)
        left, right = (
            random.standard_normal((batch, *shape), np.float32)
            for shape in (PRODUCTS[name].left, PRODUCTS[name].right)
        )
        (found,) = engine.run({"left": Tensor(left), "right": Tensor(right)}).values()
        np.testing.assert_allclose(found.data, PRODUCTS[name].of(left, right), atol=1e-4)
    engine.close()


@given(st.data())
def test_damage_is_not_a_product_and_not_an_error(written_bytes, data):
    kind, program = written_bytes
    at = data.draw(st.integers(0, len(program) - 1))
    has_outer_product(kind, program[:at])
    has_outer_product(kind, program[:at] + data.draw(st.binary(max_size=3)) + program[at + 1 :])


@pytest.fixture(scope="module")
def written_bytes(written):
    signature = read_signature(written / "two_columns")
    return signature.format, (written / "two_columns" / signature.program).read_bytes()
