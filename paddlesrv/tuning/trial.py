"""One way to serve a model, tried: a real service, real workers, callers that never pause.

What is missing against a server is the wire, which is the same for every candidate.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_fields

from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.check_input import check_input
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.config import ModelConfig, engine_options
from paddlesrv.server.launch import setups
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.request import InferRequest
from paddlesrv.server.scheduler import Scheduler
from paddlesrv.server.service import ModelSetup, Service
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Measured

LOAD_TIMEOUT_SECONDS = 120.0
WARM_UP_SHARE = 0.2
"""Of the time of a measurement: the first runs of each batch size are slow."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked, of what, by how many callers at a time.

    `models` are the networks and pipelines in the order in which they start, and `options` how each
    runs where nothing is tried with it; `target` is asked.
    `item` None asks with the task's own example, or with tensors where there is no task.
    """

    models: tuple[tuple[ModelConfig, LocalModel], ...]
    options: Mapping[str, EngineOptions]
    target: str
    item: TaskInput | None = None
    concurrency: int = 1


class Stand:
    """Where one candidate at a time is served and measured.

    Args:
        load: What is asked.
        network: Which of its networks the candidates are for.
        fixed: How the others are served; those not named as they are configured.
    """

    def __init__(self, load: Load, network: str, fixed: Mapping[str, Candidate]) -> None:
        self._load = load
        self._network = network
        self._fixed = dict(fixed)
        self._service = Service()
        self._loaded: Candidate | None = None
        self._item = load.item
        self._tensors: dict[str, Tensor] | None = None

    async def load(self, candidate: Candidate) -> None:
        """Serve this candidate from now on; processes are kept where it has the same.

        Raises:
            PaddlesrvError: it does not load, or does not answer.
        """
        if self._loaded is None or self._loaded.deployment != candidate.deployment:
            await self._unload()
            for setup in self._setups(candidate):
                self._service.add(setup, load_timeout=LOAD_TIMEOUT_SECONDS)
            await self._service.loaded()
        self._loaded = candidate
        scheduler = self._scheduler
        scheduler.limits = replace(
            scheduler.limits,
            max_batch_size=candidate.max_batch_size,
            max_delay=candidate.max_delay_ms / 1e3,
        )
        await self._ask()

    async def measure(self, candidate: Candidate, seconds: float) -> Measured:
        """Load a candidate and let callers ask without a pause for so long, warm-up included.

        Who has no answer by then leaves; at least one answer is waited for.

        Raises:
            PaddlesrvError: a request failed.
        """
        await self.load(candidate)
        await self._callers(seconds * WARM_UP_SHARE)
        rows, runs = self._ran()
        began = time.monotonic()
        latencies = await self._callers(seconds * (1 - WARM_UP_SHARE))
        took = time.monotonic() - began
        more_rows, more_runs = self._ran()
        batches = more_runs - runs
        return Measured(
            requests=len(latencies),
            seconds=took,
            rate=len(latencies) / took,
            p50_ms=percentile(latencies, 50) * 1e3,
            p99_ms=percentile(latencies, 99) * 1e3,
            average_batch=(more_rows - rows) / batches if batches else 0.0,
        )

    async def close(self) -> None:
        """End every process."""
        await self._service.close()

    @property
    def _scheduler(self) -> Scheduler:
        scheduler = self._service.models[self._network].scheduler
        assert scheduler is not None, "a network is tuned, not a pipeline"
        return scheduler

    def _ran(self) -> tuple[int, int]:
        """Rows and batches that ran so far."""
        batches = self._scheduler.statistics.batches
        return sum(n * ran.count for n, ran in batches.items()), self._scheduler.statistics.runs

    def _setups(self, candidate: Candidate) -> list[ModelSetup]:
        chosen = {**self._fixed, self._network: candidate}
        planned = []
        options = dict(self._load.options)
        for config, model in self._load.models:
            way = chosen.get(model.spec.name)
            if way is not None:
                config = configured(config, way)
                options[model.spec.name] = replace_fields(
                    engine_options(config, way.engine), variant=way.variant
                )
            planned.append((config, model))
        return setups(planned, options)

    async def _unload(self) -> None:
        self._loaded = None
        for model in reversed(list(self._service.models.values())):
            await self._service.remove(model)

    async def _callers(self, seconds: float) -> list[float]:
        """Seconds of each answer that came in time, or else of the first one."""
        latencies: list[float] = []

        async def call() -> None:
            while True:
                began = time.monotonic()
                await self._ask()
                latencies.append(time.monotonic() - began)

        calls = [asyncio.ensure_future(call()) for _ in range(self._load.concurrency)]
        try:
            end = time.monotonic() + seconds
            while True:
                left = end - time.monotonic()
                if left <= 0 and latencies:
                    return latencies
                done, _ = await asyncio.wait(
                    calls, timeout=max(left, 0.05), return_when=asyncio.FIRST_EXCEPTION
                )
                for ended in done:
                    ended.result()
        finally:
            for one in calls:
                one.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _ask(self) -> None:
        target = self._load.target
        setup = self._service.models[target].setup
        if setup.task is None:
            if self._tensors is None:
                self._tensors = check_input(setup.spec)
            await self._service.infer(InferRequest(model=target, inputs=dict(self._tensors)))
            return
        if self._item is None:
            self._item = setup.task.example()
        await self._service.predict(target, [self._item], TaskOptions())


def configured(config: ModelConfig, way: Candidate) -> ModelConfig:
    """A configuration with the fields that are tuned."""
    return replace_fields(
        config,
        engine=way.engine,
        precision=way.precision,
        threads=way.threads,
        instances=way.instances,
        max_batch_size=way.max_batch_size,
        max_delay_ms=way.max_delay_ms,
    )


def as_candidate(config: ModelConfig, model: LocalModel, options: EngineOptions) -> Candidate:
    """How a network is served where nothing is tuned."""
    return Candidate(
        engine=options.engine,
        variant=options.variant,
        precision=options.precision,
        threads=options.threads,
        instances=config.instances,
        max_batch_size=config.max_batch_size or model.spec.max_batch_size,
        max_delay_ms=config.max_delay_ms,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
