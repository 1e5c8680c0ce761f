"""`wide&deep`: a network for click-through rates, trained on the user's own clicks.

Heng-Tze Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016), in the form of
PaddleRec's `models/rank/wide_deep`: a linear model over the numbers, and a network over the numbers
and an embedding of each of 26 categories. Nobody offers its weights, so they are learnt here, of
text files with one impression a line, in either of two forms:

- PaddleRec's slots: `click:0 dense_feature:0.05 ... dense_feature:0.1 1:737 2:210498 ... 26:5`;
- Criteo's columns, divided by tabs: the click (0 or 1), 13 numbers, 26 categories; what is missing
  is empty. Categories are hashed as `paddlesrv.models.feature_hash` says.

The same files give the same network: everything random is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from paddlesrv.errors import IntegrityError, NotFound, UsageError
from paddlesrv.models.feature_hash import feature_id
from paddlesrv.models.tensor import Array

DENSE, SLOTS = 13, 26
LEAST_ROWS = 100
_SUFFIXES = ("", ".txt", ".tsv", ".csv")

Count = Annotated[int, msgspec.Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network, as PaddleRec has them, and how it is trained."""

    hash_size: Count = 1000001
    missing_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    width: Count = 9
    layers: tuple[Count, ...] = (512, 256, 128, 32)
    batch_size: Count = 512
    epochs: Count = 2
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.001


class Rows(NamedTuple):
    """Impressions: rows x 13 float32, rows x 26 int64, rows of 0 and 1 as float32."""

    dense: Array
    ids: Array
    clicks: Array


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """Train on every text file in `source`, and write the network.

    Raises:
        NotFound: there is no line to learn from.
        IntegrityError: a line is in neither form, or there are too few.
        UsageError: the options are not those of this recipe.
    """
    try:
        wanted = msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise UsageError(f"options of the recipe wide_and_deep: {error}") from error
    train(read(source, wanted), wanted, str(target / "inference"))


def read(source: Path, options: Options) -> Rows:
    """Every line of every text file, in the order of their names.

    Raises:
        NotFound, IntegrityError: see `build`.
    """
    files = sorted(p for p in source.rglob("*") if p.is_file() and p.suffix in _SUFFIXES)
    lines = [parsed for file in files for parsed in _lines(file, options)]
    if not lines:
        raise NotFound(
            "there are no clicks to learn from",
            context={"needed": "text files with one impression a line (.txt, .tsv, part-…)"},
            hints=[
                "PaddleRec's slots: click:0 dense_feature:0.05 … 1:737 2:210498 … 26:5",
                "or Criteo's columns, divided by tabs: click, 13 numbers, 26 categories",
            ],
        )
    clicks = np.array([click for click, _, _ in lines], np.float32)
    if len(lines) < LEAST_ROWS or clicks.min() == clicks.max():
        raise IntegrityError(
            f"{len(lines)} impressions with {int(clicks.sum())} clicks teach nothing",
            context={"needed": f"at least {LEAST_ROWS}, some with a click and some without"},
        )
    dense = np.array([numbers for _, numbers, _ in lines], np.float32)
    return Rows(dense, np.array([ids for _, _, ids in lines], np.int64), clicks)


def train(rows: Rows, options: Options, path: str) -> None:
    """Learn from the rows, and save the network as `PATH.json` and `PATH.pdiparams`."""
    import paddle
    from paddle import nn

    class WideAndDeep(nn.Layer):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Linear(DENSE, 1)
            self.embedding = nn.Embedding(
                options.hash_size,
                options.width,
                sparse=True,
                weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.05)),
            )
            widths = (DENSE + SLOTS * options.width, *options.layers)
            self.deep = nn.Sequential(
                *(
                    layer
                    for inward, outward in pairwise(widths)
                    for layer in (nn.Linear(inward, outward), nn.ReLU())
                ),
                nn.Linear(widths[-1], 1),
            )

        def logits(self, ids: Any, dense: Any) -> Any:
            found = paddle.reshape(self.embedding(ids), [-1, SLOTS * options.width])
            return self.wide(dense) + self.deep(paddle.concat([found, dense], axis=1))

        def forward(self, ids: Any, dense: Any) -> Any:
            return nn.functional.sigmoid(self.logits(paddle.concat(ids, axis=1), dense))

    paddle.seed(2016)
    order = np.random.default_rng(2016)
    network = WideAndDeep()
    optimizer = paddle.optimizer.Adam(
        options.learning_rate, parameters=network.parameters(), lazy_mode=True
    )
    for _ in range(options.epochs):
        shuffled = order.permutation(len(rows.clicks))
        for start in range(0, len(shuffled), options.batch_size):
            some = shuffled[start : start + options.batch_size]
            ids, dense = paddle.to_tensor(rows.ids[some]), paddle.to_tensor(rows.dense[some])
            told = network.logits(ids, dense)
            clicks = paddle.to_tensor(rows.clicks[some][:, np.newaxis])
            loss = nn.functional.binary_cross_entropy_with_logits(told, clicks)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
    network.eval()
    inputs = [
        [paddle.static.InputSpec([-1, 1], "int64", f"C{i + 1}") for i in range(SLOTS)],
        paddle.static.InputSpec([-1, DENSE], "float32", "dense_input"),
    ]
    paddle.jit.save(network, path, input_spec=inputs)


def _lines(file: Path, options: Options) -> Iterator[tuple[int, list[float], list[int]]]:
    number = 0
    with file.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, start=1):  # noqa: B007  # told in the error
                if line.strip():
                    yield _parsed(line.rstrip("\r\n"), options)
        except (ValueError, KeyError) as error:
            raise IntegrityError(
                f"line {number} of {file.name} is no impression: {error}",
                context={"expected": "PaddleRec's slots, or Criteo's 40 columns"},
            ) from error


def _parsed(line: str, options: Options) -> tuple[int, list[float], list[int]]:
    columns = line.split("\t")
    if len(columns) == 1 + DENSE + SLOTS:
        click = {"0": 0, "1": 1}[columns[0]]
        numbers = [float(each) if each else 0.0 for each in columns[1 : 1 + DENSE]]
        ids = [
            feature_id(slot, each, options.hash_size) if each else options.missing_id
            for slot, each in enumerate(columns[1 + DENSE :])
        ]
    else:
        numbers, ids, click = [], [options.missing_id] * SLOTS, -1
        for word in line.split():
            name, _, value = word.partition(":")
            if name == "click":
                click = {"0": 0, "1": 1}[value]
            elif name == "dense_feature":
                numbers.append(float(value))
            else:
                slot = int(name) - 1
                if not 0 <= slot < SLOTS:
                    raise ValueError(f"slot {name}")
                ids[slot] = int(value)
    if click < 0 or len(numbers) != DENSE or not np.isfinite(numbers).all():
        raise ValueError(f"{len(numbers)} numbers, and click {click}")
    if not all(0 <= each < options.hash_size for each in ids):
        raise ValueError(f"an id is not from 0 to {options.hash_size - 1}")
    return click, numbers, ids
