"""Which engine runs each network, and why: as `serve` tells it in short, and `info` in full."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlesrv.cli.output import Output
    from paddlesrv.engines.candidates import Evidence
    from paddlesrv.engines.choice import Choice
    from paddlesrv.server.config import ModelConfig
    from paddlesrv.server.deciding import Decisions
    from paddlesrv.server.local_model import LocalModel
    from paddlesrv.tuning.record import Tuned
    from paddlesrv.zoo.store import InstalledModel


UNDECIDED = "the fastest engine that answers right, found at the first start"


class Watched:
    """Tells what a trial is doing, and before the first of them what it is good for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begun = False

    def __call__(self, text: str) -> None:
        """Say it."""
        if not self._begun:
            self._output.note(
                "engine   looking for the fastest that answers right, once on this machine "
                "(not wanted: --engine paddle)"
            )
        self._begun = True
        self._output.note(f"engine   {text}")


@dataclass(frozen=True)
class Engines:
    """The engines of the networks that one model is made of.

    `names` has each network's engine, None where that is to be found yet; `texts` says it to a
    person.
    """

    names: dict[str, str | None]
    texts: dict[str, str]

    @classmethod
    def of(
        cls,
        model: str,
        planned: Sequence[tuple[ModelConfig, LocalModel]],
        decided: Decisions,
        undecided: Collection[str] = (),
    ) -> Engines:
        """Those of a planned model and its components; some may be undecided yet."""
        specs = {each.spec.name: each.spec for _, each in planned}
        parts = [specs[name] for name in (*specs[model].components.values(), model)]
        names: dict[str, str | None] = {}
        texts: dict[str, str] = {}
        for spec in parts:
            if spec.format != "pipeline":
                choice = decided.choices.get(spec.name)
                engine = decided.options[spec.name].engine
                names[spec.name] = None if spec.name in undecided else engine
                texts[spec.name] = choice.short if choice else engine
        return cls(names, texts)

    @classmethod
    def named(cls, config: ModelConfig) -> Engines:
        """Those of a model that is not here."""
        engine = None if config.engine == "auto" else config.engine
        return cls({config.name: engine}, {config.name: engine} if engine else {})

    @property
    def short(self) -> str:
        """For the line of the device."""
        if None in self.names.values():
            return UNDECIDED
        if len(self.texts) == 1:
            return f"engine {next(iter(self.texts.values()))}"
        different = dict.fromkeys(str(name) for name in self.names.values())
        return f"engine{'s' if len(different) > 1 else ''} {', '.join(different)}"

    @property
    def lines(self) -> list[str]:
        """A line for each network, where there are several."""
        if len(self.texts) < 2:
            return []
        return [f"engine   {name}: {text}" for name, text in self.texts.items()]


@dataclass(frozen=True)
class Known:
    """What was found out about a model on this machine, or on others with the same store."""

    choices: list[Choice]
    tuned: list[Tuned]

    @classmethod
    def of(cls, installed: InstalledModel, cache_dir: Path) -> Known:
        """All records of a model's files."""
        from paddlesrv.engines import choice
        from paddlesrv.server.local_model import LocalModel
        from paddlesrv.tuning import record

        model = LocalModel(installed.spec, installed.directory)
        return cls(
            choice.recorded(model.spec, model.root, cache_dir), record.recorded(model, cache_dir)
        )

    def pairs(self) -> list[tuple[str, str]]:
        """Each choice, its reason, and what was found out about every candidate; what was tuned."""
        from paddlesrv.engines.choice import in_force

        pairs = []
        for choice in self.choices:
            wanted = choice.wanted
            here = (
                "" if in_force(choice) else "; not in force: made elsewhere or with other engines"
            )
            pairs += [
                ("engine", f"{choice.short} for {wanted.device} in {wanted.precision}{here}"),
                ("  chosen", f"{choice.when:%Y-%m-%d %H:%M} UTC: {choice.why}"),
            ]
            pairs += [(f"  {found.candidate}", _found(found)) for found in choice.evidence]
        for tuned in self.tuned:
            here = "" if tuned.in_force else "; not in force: made elsewhere or with other engines"
            pairs += [
                ("tuned", f"{tuned.chosen} on {tuned.device}{here}"),
                ("  found", f"{tuned.when:%Y-%m-%d %H:%M} UTC {_for(tuned)}: {tuned.why}"),
            ]
        return pairs

    def records(self) -> dict[str, Any]:
        """The same for programs."""
        import msgspec

        from paddlesrv.engines.choice import in_force

        return {
            "engine_choices": [
                msgspec.to_builtins(each) | {"in_force": in_force(each)} for each in self.choices
            ],
            "tuned": [
                msgspec.to_builtins(each) | {"in_force": each.in_force} for each in self.tuned
            ],
        }


def _for(tuned: Tuned) -> str:
    wishes = tuned.wishes
    within = f" within {wishes.limit_ms:g} ms" if wishes.limit_ms is not None else ""
    callers = f"{wishes.concurrency} caller{'s' if wishes.concurrency != 1 else ''}"
    whose = f" of {tuned.target}" if tuned.target != tuned.model else ""
    return f"for {wishes.objective}{within} with {callers}{whose}"


def _found(evidence: Evidence) -> str:
    parts = []
    if evidence.refused is not None:
        parts.append(f"refused: {evidence.refused}")
    if evidence.difference is not None:
        parts.append(f"differs by {evidence.difference:.1e}")
    for timing in evidence.timings:
        threads = f"{timing.threads} thread{'s' if timing.threads != 1 else ''}"
        parts.append(f"batch {timing.rows}, {threads}: {timing.seconds * 1e3:.3g} ms")
    return "; ".join(parts) or "not measured"
