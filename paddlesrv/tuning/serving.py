"""What a server takes from the records of `tune`: each field that nobody has said.

A flag, a variable or a file says it; what they leave open is taken from the record of a network on
this machine, if there is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.errors import NotFound
from paddlesrv.server.config import ModelConfig, component_config, usable_cores
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.locate import Located
from paddlesrv.tuning.record import Tuned, recall, recorded

FIELDS = ("engine", "precision", "threads", "instances", "max_batch_size", "max_delay_ms")
"""Of a `ModelConfig`, what a record decides."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken for a network: which fields, from a record made when and for what."""

    model: str
    fields: tuple[str, ...]
    record: str
    chosen: str

    @property
    def text(self) -> str:
        """In a line."""
        return f"{self.model}: {self.chosen} ({self.record})"


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What records decide of a server.

    `parts` are configurations of components that have records of their own, `variants` the way of
    paddle's for each network whose engine was taken; `remarks` say which records were left, and
    why.
    """

    taken: tuple[Taken, ...] = ()
    parts: dict[str, ModelConfig] = {}
    variants: dict[str, str | None] = {}
    remarks: tuple[str, ...] = ()

    def of(self, model: str) -> Taken | None:
        """What was taken for a network."""
        return next((each for each in self.taken if each.model == model), None)


def apply(
    located: Sequence[Located],
    given: Sequence[Collection[str]],
    find: Callable[[str], LocalModel],
    cache_dir: Path,
) -> tuple[list[Located], Tuning]:
    """The models with what was tuned for them.

    Models that are not installed are left as they are. It may be said twice: the second time
    changes nothing.

    Args:
        located: What is to be served.
        given: For each, the fields of its configuration that somebody has said.
        find: A model on this machine, by its own name.
        cache_dir: The store's directory.

    Raises:
        IntegrityError: a record is damaged.
    """
    told = _Told(cache_dir)
    own = {model.config.name for model in located}
    changed = []
    for model, said in zip(located, given, strict=True):
        try:
            local = find(model.config.name)
            parts = [find(name) for name in local.spec.components.values()]
        except NotFound:
            changed.append(model)
            continue
        if local.sealed is not None:  # records are of what lies in files
            changed.append(model)
            continue
        for part in parts:
            name = part.spec.name
            if name not in own and name not in told.parts:
                config = component_config(model.config, name)
                tuned = told.take(part, config, said, name)
                if tuned is not None:
                    told.parts[name] = tuned
        config = told.take(local, model.config, said, model.asked) or model.config
        changed.append(dataclasses.replace(model, config=config))
    return changed, Tuning(
        taken=tuple(told.taken),
        parts=told.parts,
        variants=told.variants,
        remarks=tuple(told.remarks),
    )


class _Told:
    """What is found out on the way."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self.taken: list[Taken] = []
        self.parts: dict[str, ModelConfig] = {}
        self.variants: dict[str, str | None] = {}
        self.remarks: list[str] = []

    def take(
        self, model: LocalModel, config: ModelConfig, said: Collection[str], called: str
    ) -> ModelConfig | None:
        """The configuration with the network's record; None where there is none to take."""
        record = recall(model, self._cache_dir, config.device, called=called)
        if record is None:
            self._say_elsewhere(model, config.device)
            return None
        contradiction = _contradiction(record, config, said)
        if contradiction is not None:
            self.remarks.append(f"how {model.spec.name} was tuned is left: {contradiction}")
            return None
        fields = taken_fields(record, config, said)
        if "engine" in fields:
            self.variants[model.spec.name] = record.chosen.variant
        self.taken.append(
            Taken(
                model=model.spec.name,
                fields=tuple(fields),
                record=record.short,
                chosen=str(record.chosen),
            )
        )
        return msgspec.structs.replace(config, **fields)

    def _say_elsewhere(self, model: LocalModel, device: str) -> None:
        others = [each for each in recorded(model, self._cache_dir) if each.device == device]
        if others:
            self.remarks.append(
                f"{model.spec.name} was {others[0].short} on another machine or with other "
                "versions of the engines; that is left"
            )


def taken_fields(record: Tuned, config: ModelConfig, said: Collection[str]) -> dict[str, Any]:
    """What a record decides of a configuration.

    Threads and instances were chosen together: with one of them said, the other is taken only as
    long as they fit on the cores.
    """
    fields = {name: getattr(record.chosen, name) for name in FIELDS if name not in said}
    together = {"threads", "instances"}
    if together & fields.keys() and not together <= fields.keys():
        threads = fields.get("threads") or config.threads or 1
        if threads * (fields.get("instances") or config.instances) > usable_cores():
            return {name: value for name, value in fields.items() if name not in together}
    return fields


def _contradiction(record: Tuned, config: ModelConfig, said: Collection[str]) -> str | None:
    """What was said that makes the record one of something else."""
    chosen = record.chosen
    if "precision" in said and config.precision != chosen.precision:
        return f"it was for {chosen.precision}, and {config.precision} is asked for"
    if "engine" in said and config.engine != chosen.engine and chosen.precision != "fp32":
        return f"{chosen.precision} was for {chosen.engine}, and {config.engine} is asked for"
    return None
