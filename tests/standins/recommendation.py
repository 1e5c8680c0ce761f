"""Stand-ins for networks of click-through rates: tables of numbers by id, weighed and added up."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.standins import serving_conf
from tests.standins.serving_conf import INT64, Variable

if TYPE_CHECKING:
    from tests.standins.programs import Program

IDS, SLOTS, DENSE = 1000001, 26, 13
_random = np.random.default_rng(26)
SLOT_WEIGHTS = _random.normal(0, 1, (SLOTS, 1))
DENSE_WEIGHTS = _random.normal(0, 1, (DENSE, 1))


def of_id(ids: Any) -> Any:
    """What the tables hold of an id: -1 to 1, and not the same for neighbours."""
    return (np.asarray(ids) * 37 % 101) / 50 - 1


def probability(slots: Sequence[Sequence[int]], dense: Sequence[float] | None = None) -> float:
    """The click's probability, worked out without the network."""
    total = sum(of_id(ids).sum() * SLOT_WEIGHTS[i, 0] for i, ids in enumerate(slots))
    if dense is not None:
        total += float(np.dot(dense, DENSE_WEIGHTS[:, 0]))
    return float(1 / (1 + np.exp(-total)))


def _table(program: Program) -> Any:
    return program.weight(of_id(np.arange(IDS))[:, np.newaxis])


def _looked_up(program: Program, table: Any, ids: Any, lod: bool) -> Any:
    return program.add(
        "lookup_table", {"W": table, "Ids": ids}, lod=lod, is_sparse=False, is_distributed=False,
        padding_idx=-1,
    )  # fmt: skip


def _weighed(program: Program, x: Any, weight: np.ndarray) -> Any:
    return program.add(
        "mul", {"X": x, "Y": program.weight(weight)}, x_num_col_dims=1, y_num_col_dims=1
    )


def _criteo_ctr(directory: Path) -> None:
    from tests.standins.programs import Program

    program = Program()
    table = _table(program)
    feeds = [program.feed(f"C{i + 1}", (-1, 1), "int64", lod=True) for i in range(SLOTS)]
    pooled = [
        program.add(
            "sequence_pool", {"X": _looked_up(program, table, ids, True)}, others=("MaxIndex",),
            pooltype="SUM", pad_value=0.0, is_test=True,
        )
        for ids in feeds
    ]  # fmt: skip
    together = program.add("concat", {"X": pooled}, axis=1)
    both = _weighed(program, together, np.hstack([np.zeros_like(SLOT_WEIGHTS), SLOT_WEIGHTS]))
    prob = program.add("softmax", {"X": both}, axis=1)
    server, client = directory / "models/ctr_serving_model", directory / "models/ctr_client_conf"
    program.save(server, feeds, [prob])
    its_feeds = [Variable(f"C{i + 1}", f"sparse_{i}", (1,), INT64, True) for i in range(SLOTS)]
    fetches = [Variable(prob.name, "prob", (2,))]
    serving_conf.write(server, its_feeds, fetches)
    serving_conf.write_client(client, its_feeds, fetches)


def _wide_and_deep(directory: Path) -> None:
    from tests.standins.programs import Program

    program = Program()
    table = _table(program)
    feeds = [program.feed(f"C{i + 1}", (-1, 1), "int64") for i in range(SLOTS)]
    found = [_looked_up(program, table, ids, False) for ids in feeds]
    dense = program.feed("dense_input", (-1, DENSE), "float32")
    together = program.add("concat", {"X": [*found, dense]}, axis=1)
    total = _weighed(program, together, np.vstack([SLOT_WEIGHTS, DENSE_WEIGHTS]))
    prob = program.add("sigmoid", {"X": total}, name="sigmoid_0.tmp_0")
    program.save(directory / "serving_server", [*feeds, dense], [prob])
    its_feeds = [
        *(Variable(f"C{i + 1}", f"C{i + 1}", (1,), INT64) for i in range(SLOTS)),
        Variable("dense_input", "dense_input", (DENSE,)),
    ]
    fetches = [Variable("sigmoid_0.tmp_0", "sigmoid_0.tmp_0", (1,))]
    serving_conf.write(directory / "serving_server", its_feeds, fetches)
    serving_conf.write_client(directory / "serving_client", its_feeds, fetches)


DIMENSIONS = 2
TABLE_IDS = range(5000)
"""Ids that cube's table knows; others are zeros."""
EMBEDDING_WEIGHTS = _random.normal(0, 1, (SLOTS * DIMENSIONS, 1))


def embedding(number: int) -> list[float]:
    """What cube's table holds of an id."""
    return [float(of_id(number)), number % 3 - 1.0] if number in TABLE_IDS else [0.0, 0.0]


def probability_by_cube(slots: Sequence[Sequence[int]], dense: Sequence[float]) -> float:
    """The click's probability, worked out without the network."""
    pooled = [np.sum([embedding(each) for each in ids], axis=0) for ids in slots]
    total = np.concatenate(pooled) @ EMBEDDING_WEIGHTS[:, 0] + np.dot(dense, DENSE_WEIGHTS[:, 0])
    return float(1 / (1 + np.exp(-total)))


def write_cube(place: Path) -> None:
    """A table as cube's builder leaves it, in two files of values."""
    place.mkdir(parents=True)
    index, data = bytearray(), [bytearray(), bytearray()]
    for number in TABLE_IDS:
        block = number % 2
        index += struct.pack("<QQ", number, block << 32 | len(data[block]))
        data[block] += struct.pack(f"<I{DIMENSIONS}f", 4 + 4 * DIMENSIONS, *embedding(number))
    (place / "index.n").write_bytes(struct.pack("<iIIQ", 0, len(TABLE_IDS), 1, len(index)))
    (place / "index.0").write_bytes(index)
    (place / "data.n").write_bytes(struct.pack("<III", 2, *map(len, data)))
    for block, content in enumerate(data):
        (place / f"data.{block}").write_bytes(content)


def _criteo_ctr_with_cube(directory: Path) -> None:
    from tests.standins.programs import Program

    program = Program()
    names = [f"embedding_{i}.tmp_0" for i in range(SLOTS)]
    feeds = [program.feed(name, (-1, DIMENSIONS), "float32", lod=True) for name in names]
    pooled = [
        program.add(
            "sequence_pool", {"X": each}, others=("MaxIndex",), pooltype="SUM", pad_value=0.0,
            is_test=True,
        )
        for each in feeds
    ]  # fmt: skip
    dense = program.feed("dense_input", (-1, DENSE), "float32")
    together = program.add("concat", {"X": [*pooled, dense]}, axis=1)
    weights = np.vstack([EMBEDDING_WEIGHTS, DENSE_WEIGHTS])
    both = _weighed(program, together, np.hstack([np.zeros_like(weights), weights]))
    prob = program.add("softmax", {"X": both}, axis=1)
    server, client = directory / "models/ctr_serving_model_kv", directory / "models/ctr_client_conf"
    program.save(server, [dense, *feeds], [prob])
    its_feeds = [Variable("dense_input", "dense_input", (DENSE,))]
    its_feeds += [Variable(name, name, (DIMENSIONS,), lod=True) for name in names]
    fetches = [Variable(prob.name, "prob", (2,))]
    serving_conf.write(server, its_feeds, fetches)
    serving_conf.write_client(client, its_feeds, fetches)
    write_cube(directory / "models/data")


STANDINS: dict[str, Callable[[Path], None]] = {
    "criteo_ctr/criteo_ctr_demo_model.tar.gz": _criteo_ctr,
    "criteo_ctr_with_cube/ctr_cube_unittest.tar.gz": _criteo_ctr_with_cube,
    # Nobody offers it: this is what an organisation's mirror would hold of its own training.
    "wide&deep/wide_deep.tar.gz": _wide_and_deep,
}
