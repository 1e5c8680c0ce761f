"""The task `click-through-rate`: how likely a click is, by the features of one impression."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput
from paddlesrv.models.feature_hash import feature_id
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions
from paddlesrv.tasks.embedding_table import EmbeddingTable
from paddlesrv.tasks.resources import read_parameters

MAX_IDS = 1000
"""Ids of one slot, at most."""

CRITEO_NUMBERS = 13
"""A row of Criteo's has as many numbers, also for networks that take none."""

_ROLE = re.compile(r"categorical_(\d+)")
_FORMS = (
    'a list of the numbers and then the categories, {"dense": [...], "categorical": [...]}, or '
    "numbers and ids by the names of the network's inputs"
)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network knows of features.

    `categorical` and `dense` say how many there are of each. Ids are below `hash_size`; a value
    that is missing has the id `missing_id`, or without that the id of the empty text. A number x
    goes in as (x - `dense_minimum`) / `dense_range`, a missing one as 0. `positive_index` is the
    place of the click's probability in what the network answers. `table` is the directory, in the
    model's own, of the embeddings of a network that takes embeddings (`embedding_table`).
    """

    categorical: Annotated[int, msgspec.Meta(ge=1)] = 26
    dense: Annotated[int, msgspec.Meta(ge=0)] = 13
    hash_size: Annotated[int, msgspec.Meta(ge=1)] = 1000001
    missing_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    dense_minimum: tuple[float, ...] = ()
    dense_range: tuple[float, ...] = ()
    positive_index: Annotated[int, msgspec.Meta(ge=0)] = 1
    table: Annotated[str, msgspec.Meta(pattern=r"^\w[\w./-]*\Z")] | None = None


class ClickProbability(msgspec.Struct, frozen=True):
    """The answer of `click-through-rate`: the probability of a click, 0 to 1."""

    score: float


class ClickThroughRate(ModelTask[None]):
    """The probability of a click.

    A row is told in one of three ways (see `_FORMS`). Of a category, a text is hashed
    (`feature_hash`), a number is an id, several of either may stand in a list, and None or "" is
    missing. Numbers under `dense`, or in a list, are as they were counted and are scaled here;
    under the name of the network's input they go in as they are.
    """

    name = "click-through-rate"
    accepts = ("features",)
    heavy = False

    @classmethod
    def understands(cls, spec: ModelSpec) -> bool:
        """Not networks that take embeddings, unless the model has a table of them."""
        ids = all(t.dtype == "int64" for t in spec.inputs if _slot_of(t) is not None)
        return ids or bool(spec.parameters.get("table"))

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the parameters, find the inputs, and map the table.

        Raises:
            IntegrityError: the table is not there, is damaged, or is not the network's.
        """
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        numbered = [(_slot_of(t), t) for t in spec.inputs]
        slots = sorted((n, t.name, t) for n, t in numbered if n is not None)
        self.slots = [tensor for _, _, tensor in slots]
        self.dense = next((t for t in spec.inputs if t.role == "dense"), None)
        self.output = spec.output_by_role("scores").name
        table = self.parameters.table
        self.table = EmbeddingTable(root / table) if table is not None else None
        wanted = {t.shape[-1] for t in self.slots if t.shape} - {-1}
        if self.table is not None and wanted - {self.table.dimensions}:
            raise IntegrityError(
                f"{table} of {spec.name} has vectors of {self.table.dimensions}, and the network "
                f"takes {', '.join(map(str, sorted(wanted)))}"
            )
        self.names = {t.name: t.name for t in spec.inputs} | {
            alias: name for alias, name in spec.aliases.items() if spec.input(name) is not None
        }

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], None]:
        """The network's inputs for one row.

        Raises:
            InvalidInput: the row is in none of the three forms, or holds what is no feature.
        """
        if item.kind != "features" or not isinstance(item.data, dict | list):
            raise InvalidInput(
                f"{self.spec.name} does {self.name} and takes features, got {item.kind}"
            )
        numbers, categories = self._parted(item.data)
        inputs = {
            tensor.name: self._ids(place, tensor, value)
            for place, (tensor, value) in enumerate(zip(self.slots, categories, strict=True))
        }
        if self.dense is not None:
            inputs[self.dense.name] = Tensor(np.array([numbers], np.float32))
        return inputs, None

    def post(
        self, outputs: Mapping[str, Tensor], state: None, options: TaskOptions
    ) -> ClickProbability:
        """The probability of a click."""
        scores = outputs[self.output].data.reshape(-1)
        place = self.parameters.positive_index
        if place >= scores.size:
            raise EngineError(
                f"{self.spec.name} answers {scores.size} scores for one row; expected more than "
                f"{place}"
            )
        return ClickProbability(float(scores[place]))

    def example(self) -> TaskInput:
        """A row of ones."""
        p = self.parameters
        return TaskInput("features", [1] * p.dense + [1] * p.categorical)

    def _parted(self, row: dict[str, Any] | list[Any]) -> tuple[Sequence[float], Sequence[Any]]:
        """Numbers as the network takes them, and categories in the order of their slots."""
        p = self.parameters
        if isinstance(row, list):
            first = max(0, len(row) - p.categorical)
            row = {"dense": row[:first], "categorical": row[first:]}
        if row.keys() <= {"dense", "categorical"}:
            dense, categorical = row.get("dense", []), row.get("categorical", [])
            lists = isinstance(dense, list) and isinstance(categorical, list)
            counts = (p.dense,) if p.dense else (0, CRITEO_NUMBERS)
            if not lists or len(dense) not in counts or len(categorical) != p.categorical:
                raise self._wrong(f"{_count(dense)} numbers and {_count(categorical)} categories")
            return self._scaled(dense if p.dense else []), categorical
        named: dict[str, Any] = {}
        for key, value in row.items():
            if key not in self.names:
                raise InvalidInput(
                    f"{self.spec.name} has no input {key!r}",
                    context={"inputs": ", ".join(sorted(self.names))[:300]},
                )
            named[self.names[key]] = value
        numbers: Sequence[float] = [0.0] * p.dense
        if self.dense is not None and self.dense.name in named:
            given = named[self.dense.name]
            if not isinstance(given, list) or len(given) != p.dense:
                raise self._wrong(f"{_count(given)} numbers")
            numbers = [self._number(place, value) for place, value in enumerate(given)]
        return numbers, [named.get(tensor.name) for tensor in self.slots]

    def _scaled(self, given: Sequence[Any]) -> list[float]:
        p = self.parameters
        numbers = []
        for place, value in enumerate(given):
            if value is None or value == "":
                numbers.append(0.0)
                continue
            number = self._number(place, value)
            if p.dense_minimum and p.dense_range:
                number = (number - p.dense_minimum[place]) / p.dense_range[place]
            numbers.append(number)
        return numbers

    def _number(self, place: int, value: Any) -> float:
        try:
            number = float(value) if not isinstance(value, bool | list | dict) else math.nan
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise InvalidInput(
                f"number {place} of the row is {_shown(value)}", context={"wanted": "a number"}
            )
        return number

    def _ids(self, slot: int, tensor: TensorSpec, value: Any) -> Tensor:
        values = value if isinstance(value, list) else [value]
        if not values or len(values) > MAX_IDS or (not tensor.lod_level and len(values) != 1):
            wanted = f"1 to {MAX_IDS}" if tensor.lod_level else "1"
            raise InvalidInput(
                f"category {slot} of the row has {len(values)} values", context={"wanted": wanted}
            )
        ids = [self._id(slot, each) for each in values]
        offsets = (0, len(ids)) if tensor.lod_level else None
        if self.table is not None:
            return Tensor(self.table.vectors(ids), offsets)
        return Tensor(np.array(ids, np.int64)[:, np.newaxis], offsets)

    def _id(self, slot: int, value: Any) -> int:
        p = self.parameters
        if value is None or value == "":
            missing = p.missing_id
            return feature_id(slot, "", p.hash_size) if missing is None else missing
        if isinstance(value, str):
            return feature_id(slot, value, p.hash_size)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidInput(
                f"category {slot} of the row is {_shown(value)}",
                context={"wanted": "a text, which is hashed, or an id"},
            )
        if not 0 <= value < p.hash_size:
            raise InvalidInput(
                f"category {slot} of the row has the id {value}",
                context={"wanted": f"0 to {p.hash_size - 1}"},
            )
        return value

    def _wrong(self, found: str) -> InvalidInput:
        p = self.parameters
        return InvalidInput(
            f"the row is {found}; {self.spec.name} takes {p.dense} numbers and {p.categorical} "
            "categories",
            context={"wanted": _FORMS},
        )


def _slot_of(tensor: TensorSpec) -> int | None:
    found = _ROLE.fullmatch(tensor.role or "")
    return int(found[1]) if found else None


def _count(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else "no list of"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
