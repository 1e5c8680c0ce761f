"""`tune`: each network of a model in its turn, while what is asked is the model itself.

A pipeline has no workers of its own: its networks are tuned one after the other under its load,
each with what was found for those before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import uvloop

from paddlesrv.engines.base import EngineOptions
from paddlesrv.server.config import ModelConfig, usable_cores
from paddlesrv.server.deciding import Decisions
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tuning.candidates import Candidate, candidates
from paddlesrv.tuning.engines import ways
from paddlesrv.tuning.measured import Wishes
from paddlesrv.tuning.record import Place, Tuned, drop, keep
from paddlesrv.tuning.search import Bench, Found, Search, Watch
from paddlesrv.tuning.trial import Load, Stand, as_candidate

Make = Callable[[Load, str, Mapping[str, Candidate]], Bench]
"""Makes a bench for a network: `Stand`, or what stands in for it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be tried for one network, the default first."""

    config: ModelConfig
    model: LocalModel
    candidates: tuple[Candidate, ...]


def plan(
    planned: Sequence[tuple[ModelConfig, LocalModel]],
    decided: Decisions,
    wishes: Wishes,
    cores: int | None = None,
) -> list[Plan]:
    """What is to be tried for every network among the planned models, in their order.

    Args:
        planned: From `launch.plan`.
        decided: How each runs now, and what else was found to answer right.
        wishes: What is wanted.
        cores: Those that the server may use; None: what this process may.
    """
    made = []
    for config, model in planned:
        if model.spec.format == "pipeline":
            continue
        tried = candidates(
            ways(decided, model.spec.name),
            as_candidate(config, model, decided.options[model.spec.name]),
            objective=wishes.objective,
            cores=cores or usable_cores(),
            max_rows=model.spec.max_batch_size,
            concurrency=wishes.concurrency,
        )
        made.append(Plan(config=config, model=model, candidates=tried))
    return made


def tune(
    planned: Sequence[tuple[ModelConfig, LocalModel]],
    decided: Decisions,
    plans: Sequence[Plan],
    wishes: Wishes,
    budget: float,
    watch: Callable[[Plan], Watch],
    *,
    item: TaskInput | None = None,
    make: Make = Stand,
) -> list[tuple[Plan, Found]]:
    """Search for the best way to serve each network; nothing is written down.

    Args:
        planned: The models in the order in which they start; the last one is asked.
        decided: How each runs where nothing is tried with it.
        plans: What is to be tried, from `plan`.
        wishes: What is wanted.
        budget: Seconds for all of it.
        watch: Makes who is told of a network's search.
        item: What is asked; None: the task's example.
        make: Makes where candidates are tried.

    Raises:
        PaddlesrvError: the model cannot be served, or does not answer what is asked.
    """
    return uvloop.run(_tune(planned, decided.options, plans, wishes, budget, watch, item, make))


async def _tune(
    planned: Sequence[tuple[ModelConfig, LocalModel]],
    options: Mapping[str, EngineOptions],
    plans: Sequence[Plan],
    wishes: Wishes,
    budget: float,
    watch: Callable[[Plan], Watch],
    item: TaskInput | None,
    make: Make,
) -> list[tuple[Plan, Found]]:
    load = Load(
        models=tuple(planned),
        options=options,
        target=planned[-1][1].spec.name,
        item=item,
        concurrency=wishes.concurrency,
    )
    chosen: dict[str, Candidate] = {}
    found: list[tuple[Plan, Found]] = []
    for number, each in enumerate(plans):
        name = each.model.spec.name
        share = (budget - sum(one.seconds for _, one in found)) / (len(plans) - number)

        def bench(name: str = name) -> Bench:
            return make(load, name, {k: v for k, v in chosen.items() if k != name})

        search = Search(each.candidates, wishes, share, bench, watch(each), networks=len(plans))
        verdict = await search.run()
        found.append((each, verdict))
        if verdict.best is not None:
            chosen[name] = verdict.best
    return found


def write(plan: Plan, found: Found, wishes: Wishes, target: str, cache_dir: Path) -> Path | None:
    """Keep the verdict on a network: a record if the default was beaten, none where it was not.

    Where nothing came up to what was wanted, an earlier record stays as it is.

    Returns:
        The record, or None where there is no winner.

    Raises:
        OSError: the store cannot be written.
    """
    if found.best is None:
        return None
    if found.best == found.default:
        drop(plan.model, cache_dir, plan.config.device)
        return None
    record = Tuned(
        model=plan.model.spec.name,
        target=target,
        device=plan.config.device,
        place=Place.here(plan.config.device),
        wishes=wishes,
        chosen=found.best,
        default=found.default,
        gain=found.gain,
        noise=found.noise,
        why=found.why,
        table=found.table,
        when=datetime.now(timezone.utc),
        seconds=found.seconds,
    )
    return keep(record, plan.model, cache_dir)
