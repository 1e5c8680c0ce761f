"""What the networks of click-through rates are asked: rows of features in every form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from paddlesrv.models.feature_hash import feature_id
from tests.standins.recommendation import IDS, probability, probability_by_cube
from tests.zoo import drawn
from tests.zoo.row import Input, Row

TEXTS = [f"value-{i}" for i in range(25)]
NUMBERS = [0.5, 3, 1.25, 0, 2, 7.5, 1, 0.1, 0, 4, 1, 0.75, 2]
HASHED = [[feature_id(i, text, IDS)] for i, text in enumerate(TEXTS)]

CRITEO: list[tuple[Input, list[list[int]]]] = [
    (list(range(100, 126)), [[i] for i in range(100, 126)]),
    # A row of the data set: the numbers are there, and are not asked for.
    ([1, None, "", *range(10), *TEXTS, None], [*HASHED, [feature_id(25, "", IDS)]]),
    ({f"sparse_{i}": [i, 7 * i, 1000000 - i] for i in range(26)},
     [[i, 7 * i, 1000000 - i] for i in range(26)]),
    ({"categorical": [*TEXTS, 5]}, [*HASHED, [5]]),
]  # fmt: skip
WIDE: list[tuple[Input, list[list[int]], list[float]]] = [
    ([*NUMBERS, *range(200, 226)], [[i] for i in range(200, 226)], NUMBERS),
    ({"dense": [*NUMBERS[:12], None], "categorical": [*TEXTS, None]}, [*HASHED, [0]],
     [*NUMBERS[:12], 0]),
    ({"dense_input": NUMBERS, **{f"C{i}": i for i in range(1, 27)}},
     [[i] for i in range(1, 27)], NUMBERS),
]  # fmt: skip

CUBE: list[tuple[Input, list[list[int]], list[float]]] = [
    ({"dense_input": NUMBERS, **{f"embedding_{i}.tmp_0": [i, 40 * i] for i in range(26)}},
     [[i, 40 * i] for i in range(26)], NUMBERS),
    # Numbers of Criteo's are scaled; the ids of these texts are not in the table, but for one.
    ([20, 600, *[None] * 11, *TEXTS, 77], [*HASHED, [77]], [1, 1, *[0] * 11]),
    ({"dense_input": NUMBERS, **{f"embedding_{i}.tmp_0": 3 * i for i in range(26)}},
     [[3 * i] for i in range(26)], NUMBERS),
]  # fmt: skip


def _check(expected: list[float]) -> Callable[[int, dict[str, Any]], None]:
    def check(number: int, result: dict[str, Any]) -> None:
        assert result.keys() == {"score"}
        assert abs(result["score"] - expected[number]) < 1e-5

    return check


WIDE_ROWS = drawn.rows_of_ids([], IDS, {"dense_input": 13}).flatmap(
    lambda row: st.fixed_dictionaries({f"C{i}": st.integers(0, IDS - 1) for i in range(1, 27)}).map(
        lambda ids: row | ids
    )
)
ROWS = [
    Row(
        "criteo_ctr",
        [row for row, _ in CRITEO],
        _check([probability(ids) for _, ids in CRITEO]),
        drawn.rows_of_ids([f"sparse_{i}" for i in range(26)], IDS),
    ),
    Row(
        "criteo_ctr_with_cube",
        [row for row, _, _ in CUBE],
        _check([probability_by_cube(ids, numbers) for _, ids, numbers in CUBE]),
        drawn.rows_of_ids([f"embedding_{i}.tmp_0" for i in range(26)], IDS, {"dense_input": 13}),
    ),
    Row(
        "wide&deep",
        [row for row, _, _ in WIDE],
        _check([probability(ids, numbers) for _, ids, numbers in WIDE]),
        WIDE_ROWS,
    ),
]
