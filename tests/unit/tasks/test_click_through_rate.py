"""click-through-rate: rows in every form to tensors, and a hash that never changes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import InvalidInput
from paddlesrv.models.feature_hash import feature_id
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.click_through_rate import ClickThroughRate

ASKED = TaskOptions()
VECTORS = (27588, 493780, 61)
"""Of (slot 0, ""), (slot 0, "a") among 1000001, and (slot 25, "é") among 97."""


def task(*, lod: bool = False, dense: int = 2, **parameters: Any) -> ClickThroughRate:
    slots = tuple(
        TensorSpec(
            name=f"C{i}", dtype="int64", shape=(-1, 1), role=f"categorical_{i}",
            lod_level=int(lod), batching="lod" if lod else "rows",
        )
        for i in (1, 2, 10)
    )  # fmt: skip
    numbers = TensorSpec(name="x", dtype="float32", shape=(-1, dense), role="dense")
    spec = ModelSpec(
        name="clicks",
        task="click-through-rate",
        format="onnx",
        inputs=(*slots, *([numbers] if dense else [])),
        outputs=(TensorSpec(name="p", dtype="float32", shape=(-1, 2), role="scores"),),
        parameters={"categorical": 3, "dense": dense, "hash_size": 1000, **parameters},
    )
    made = make_task(spec, Path())
    assert isinstance(made, ClickThroughRate)
    return made


def fed(made: ClickThroughRate, row: Any) -> dict[str, list[Any]]:
    inputs, _ = made.pre(TaskInput("features", row), ASKED)
    return {name: tensor.data.ravel().tolist() for name, tensor in inputs.items()}


def test_the_hash_is_the_one_that_is_documented() -> None:
    assert [feature_id(*each) for each in ((0, "", 1000001), (0, "a", 1000001), (25, "é", 97))] == [
        VECTORS[0], VECTORS[1], VECTORS[2],
    ]  # fmt: skip


@given(st.integers(0, 99), st.text(), st.integers(1, 2**40))
def test_a_hash_is_an_id(slot: int, value: str, ids: int) -> None:
    assert 0 <= feature_id(slot, value, ids) < ids
    assert feature_id(slot, value, ids) == feature_id(slot, value, ids)


def test_one_row_in_three_forms_is_fed_the_same() -> None:
    made = task()
    expected = {"C1": [5], "C2": [feature_id(1, "b", 1000)], "C10": [7], "x": [1.0, 2.5]}
    assert fed(made, [1, 2.5, 5, "b", 7]) == expected
    assert fed(made, {"dense": [1, 2.5], "categorical": [5, "b", 7]}) == expected
    assert fed(made, {"x": [1, 2.5], "C10": 7, "C2": "b", "C1": 5}) == expected


def test_what_is_missing_has_an_id_of_its_own() -> None:
    row = [None, "", None, "", 3]
    assert fed(task(), row) == {
        "C1": [feature_id(0, "", 1000)], "C2": [feature_id(1, "", 1000)], "C10": [3], "x": [0, 0],
    }  # fmt: skip
    assert fed(task(missing_id=0), row)["C1"] == [0]


def test_numbers_are_scaled_unless_they_are_for_the_input_itself() -> None:
    made = task(dense_minimum=[0, -3], dense_range=[20, 6])
    assert fed(made, [10, 0, 1, 1, 1])["x"] == [0.5, 0.5]
    assert fed(made, {"x": [10, 0], "C1": 1, "C2": 1, "C10": 1})["x"] == [10, 0]


def test_sequences_take_several_values() -> None:
    made = task(lod=True)
    inputs, _ = made.pre(TaskInput("features", [1, 2, [4, 5, 6], 7, [8]]), ASKED)
    assert inputs["C1"].lod == (0, 3)
    assert inputs["C1"].data.shape == (3, 1)
    with pytest.raises(InvalidInput, match="category 0 of the row has 3 values"):
        fed(task(), [1, 2, [4, 5, 6], 7, 8])


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ([1, 2, 3], "0 numbers and 3 categories"),
        ([1, 2, 1000, 1, 1], "the id 1000"),
        ([1, 2, -1, 1, 1], "the id -1"),
        ([1, 2, 1.5, 1, 1], "is 1.5"),
        ([1, 2, True, 1, 1], "is True"),
        ([math.nan, 2, 1, 1, 1], "number 0 of the row is nan"),
        (["many", 2, 1, 1, 1], "number 0 of the row is 'many'"),
        ([1, 2, [], 1, 1], "0 values"),
        ({"dense": [1], "categorical": [1, 2, 3]}, "1 numbers and 3 categories"),
        ({"C3": 1}, "no input 'C3'"),
        ({"x": [1], "C1": 1}, "1 numbers"),
    ],
)
def test_what_is_no_row_is_refused(row: Any, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        fed(task(), row)


def test_the_clicks_probability_is_the_answer() -> None:
    answer = {"p": Tensor(np.array([[0.25, 0.75]], np.float32))}
    assert task().post(answer, None, ASKED).score == 0.75
    assert task(positive_index=0).post(answer, None, ASKED).score == 0.25
