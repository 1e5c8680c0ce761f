"""The service: the models that a server serves, behind two calls that every protocol uses.

`infer` takes tensors and gives tensors; `predict` takes pictures, texts or features and gives
results. Here names are resolved, input is validated, large requests are cut and rejoined, and
the last request is waited for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import InvalidInput, NotFound, PayloadTooLarge, Unavailable
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.sealing.opening import Unsealing
from paddlesrv.server.batching import join_rows, slice_rows
from paddlesrv.server.config import own_cores
from paddlesrv.server.metrics import Metrics, ModelMetrics
from paddlesrv.server.request import InferRequest, InferResponse, Timing
from paddlesrv.server.scheduler import Limits, Scheduler
from paddlesrv.server.together import numbered, together
from paddlesrv.server.validation import check_inputs, fold_offsets, outputs_wanted
from paddlesrv.server.workers import ForkServer, Worker
from paddlesrv.tasks.base import Task, TaskInput, TaskOptions

T = TypeVar("T")

VERSION = "1"
"""Each model is served in one version."""

State = Literal["loading", "serving", "unloading"]
SERVING: State = "serving"

MAX_ITEMS = 256
"""Pictures, texts or rows in one `predict` request."""


@dataclass(frozen=True, kw_only=True)
class ModelSetup:
    """All that is needed to serve one model: what it is, where it runs, how it queues.

    With `pin` each instance keeps to cores of its own. For a pipeline, only the task and the
    timeout count. Of an encrypted model, `sealed` is what opens the network.
    """

    spec: ModelSpec
    root: Path
    sealed: Unsealing | None = None
    task: Task | None
    aliases: tuple[str, ...] = ()
    options: EngineOptions
    instances: int = 1
    pin: bool = False
    limits: Limits


@dataclass
class ServedModel:
    """A model while it is served; `scheduler` is None for a pipeline.

    `components` are the served models that its task asks as well. One that is `loading` is added
    to a server that is ready without it; one that is `unloading` answers only what it has taken.
    """

    setup: ModelSetup
    scheduler: Scheduler | None
    components: list[ServedModel] = field(default_factory=list)
    state: State = "serving"
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as long as nothing is in flight."""

    @property
    def name(self) -> str:
        """Its name in the catalogue (or of its directory)."""
        return self.setup.spec.name

    @property
    def ready(self) -> bool:
        """Whether a request would be taken now, by itself and by all that it asks."""
        own = self.scheduler is None or self.scheduler.ready
        return self.state == "serving" and own and all(c.ready for c in self.components)


@dataclass(frozen=True)
class Prediction:
    """The results of one `predict` call, in the order of its inputs."""

    model: ServedModel
    results: list[msgspec.Struct]
    timing: Timing


class Service:
    """Models by name, and the two calls."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.models: dict[str, ServedModel] = {}
        self.unloaded: dict[str, ModelSetup] = {}
        """What was served, and could be again."""
        self.stopping = False
        """Not ready any more, though requests that still come are answered."""
        self.draining = False
        """Nothing new is taken."""
        self._aliases: dict[str, ServedModel] = {}
        self._fork_servers: dict[tuple[str, bool], ForkServer] = {}
        # Decoding and drawing pictures: OpenCV lets go of the interpreter lock.
        self.pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="task")
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    # -- life --------------------------------------------------------------------------------

    def add(self, setup: ModelSetup, *, load_timeout: float, state: State = SERVING) -> ServedModel:
        """Begin to serve a model: its workers start loading. Components come before the whole."""
        scheduler = None
        if setup.spec.format != "pipeline":
            scheduler = Scheduler(
                setup.spec, setup.limits, ModelMetrics(self.metrics, setup.spec.name)
            )
            for number in range(setup.instances):
                worker = Worker(
                    self._fork_server(setup.options),
                    setup.spec,
                    setup.root,
                    setup.options,
                    scheduler,
                    load_timeout,
                    own_cores(number, setup.instances) if setup.pin else (),
                    setup.sealed,
                )
                scheduler.add_worker(worker)
                worker.start()
        components = [self.models[name] for name in setup.spec.components.values()]
        served = ServedModel(setup, scheduler, components, state)
        served.idle.set()
        self.models[served.name] = served
        self.unloaded.pop(served.name, None)
        for alias in setup.aliases:
            self._aliases[alias] = served
        return served

    async def remove(self, model: ServedModel) -> None:
        """Serve a model no more: what it has taken is answered, its workers end.

        Nothing else may need it. It stays known, in `unloaded`.
        """
        model.state = "unloading"
        await model.idle.wait()
        if model.scheduler is not None:
            await model.scheduler.close()
            model.scheduler.observe()
        del self.models[model.name]
        for alias in model.setup.aliases:
            self._aliases.pop(alias, None)
        self.unloaded[model.name] = model.setup

    async def loaded(self) -> None:
        """Wait until every worker has loaded its model.

        Raises:
            PaddlesrvError: what the first worker that could not load says of it.
        """
        workers = [w for m in self.models.values() if m.scheduler for w in m.scheduler.workers]
        await asyncio.gather(*(w.loaded for w in workers))

    async def warm_up(self) -> None:
        """Answer each task's own example once: first runs are slow, and broken models show here.

        Raises:
            PaddlesrvError: a model cannot answer its own example.
        """
        for model in self.models.values():
            if model.setup.task is not None:
                await self.predict(model.name, [model.setup.task.example()], TaskOptions())

    @property
    def ready(self) -> bool:
        """Whether every model would take a request now."""
        known = bool(self.models or self.unloaded)
        loaded = all(m.ready for m in self.models.values() if m.state == "serving")
        return known and loaded and not self.stopping

    async def drain(self, grace: float) -> bool:
        """Take nothing new and wait for what was accepted; whether all of it was answered."""
        self.stopping = self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except asyncio.TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End workers and fork servers; nothing of the service is left."""
        self.stopping = self.draining = True
        schedulers = [m.scheduler for m in self.models.values() if m.scheduler]
        await asyncio.gather(*(s.close() for s in schedulers))
        for server in self._fork_servers.values():
            server.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def observe(self) -> None:
        """Bring the gauges up to date, for whoever is about to read them."""
        for model in self.models.values():
            if model.scheduler is not None:
                model.scheduler.observe()

    # -- the two calls -----------------------------------------------------------------------

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """A served model by its name or alias.

        Raises:
            NotFound: no such model is served here, or not in that version.
            Unavailable: it was, and is unloaded.
        """
        model = self.models.get(name) or self._aliases.get(name)
        if name in self.unloaded or (model is not None and model.state == "unloading"):
            raise Unavailable(f"model {name!r} is unloaded", hints=["load it again"])
        if model is None:
            close = get_close_matches(name, [*self.models, *self._aliases], 1)
            hints = [f"did you mean {close[0]!r}?"] if close else []
            raise NotFound(
                f"model {name!r} is not served here",
                context={"served": ", ".join(self.models) or "none"},
                hints=hints,
            )
        if version not in (None, "", VERSION):
            raise NotFound(f"model {name!r} has no version {version!r}; it has {VERSION!r}")
        return model

    async def infer(self, request: InferRequest) -> InferResponse:
        """Run a model on tensors.

        Raises:
            NotFound, InvalidInput, Overloaded, Unavailable, DeadlineExceeded, EngineError.
        """
        model = self.find(request.model, request.version)
        scheduler = model.scheduler
        if scheduler is None:
            raise InvalidInput(
                f"{model.name!r} is a pipeline and takes no tensors",
                hints=[f"POST a picture to /predict/{model.name}"],
            )
        spec = model.setup.spec
        inputs = fold_offsets(spec, request.inputs)
        rows = check_inputs(spec, inputs)
        wanted = outputs_wanted(spec, request.outputs)
        timing = Timing()
        started = time.monotonic()
        deadline = started + self._seconds(model, request.timeout)
        self._enter(model)
        try:
            if rows <= scheduler.limits.max_batch_size:
                outputs = await scheduler.submit(inputs, rows, deadline, timing)
            else:
                outputs = await self._submit(scheduler, inputs, rows, deadline, timing)
        finally:
            self._leave(model)
        timing.total = time.monotonic() - started
        chosen = {name: outputs[name] for name in wanted}
        return InferResponse(model.name, VERSION, chosen, request.id, timing)

    async def predict(
        self,
        name: str,
        items: Sequence[TaskInput],
        options: TaskOptions,
        timeout: float | None = None,
    ) -> Prediction:
        """Let a model's task answer each input; all of them are in flight together.

        Raises:
            NotFound, InvalidInput, Overloaded, Unavailable, DeadlineExceeded, EngineError.
        """
        model = self.find(name)
        task = model.setup.task
        if task is None:
            raise InvalidInput(
                f"model {model.name!r} has no task; it takes tensors",
                hints=[f"POST tensors to /v2/models/{model.name}/infer"],
            )
        kinds = " or ".join(task.accepts)
        if not items:
            raise InvalidInput("the request has no input", context={"wanted": kinds})
        if len(items) > MAX_ITEMS:
            raise InvalidInput(f"{len(items)} inputs in one request, more than {MAX_ITEMS}")
        for item in items:
            if item.kind not in task.accepts:
                raise InvalidInput(
                    f"model {model.name!r} does not take {item.kind}",
                    context={"found": item.kind, "wanted": kinds},
                )
        timing = Timing()
        started = time.monotonic()
        runner = _Runner(self, timing, started + self._seconds(model, timeout))
        self._enter(model)
        try:
            if len(items) == 1:
                results = [await task.answer(items[0], options, runner)]
            else:
                answers = [task.answer(item, options, runner) for item in items]
                results = await together([numbered(a, i) for i, a in enumerate(answers)])
        finally:
            self._leave(model)
        timing.total = time.monotonic() - started
        return Prediction(model, results, timing)

    # -- inside ------------------------------------------------------------------------------

    async def _submit(
        self,
        scheduler: Scheduler,
        inputs: Mapping[str, Tensor],
        rows: int,
        deadline: float,
        timing: Timing,
    ) -> dict[str, Tensor]:
        limit = scheduler.limits.max_batch_size
        if rows <= limit or any(t.batching == "whole" for t in scheduler.spec.inputs):
            return await scheduler.submit(inputs, rows, deadline, timing)
        if rows > scheduler.limits.max_queue:
            # Not the server's load: it would be too much at any time.
            raise PayloadTooLarge(
                f"{rows} rows in one request; the queue of {scheduler.spec.name!r} holds"
                f" {scheduler.limits.max_queue}",
                hints=["send fewer rows at a time, or start the server with a larger --max-queue"],
            )
        parts = [
            slice_rows(scheduler.spec, inputs, start, min(start + limit, rows))
            for start in range(0, rows, limit)
        ]
        answers = await together(
            [
                scheduler.submit(part, min(limit, rows - i * limit), deadline, timing)
                for i, part in enumerate(parts)
            ]
        )
        return join_rows(answers)

    def _enter(self, model: ServedModel) -> None:
        if self.draining:
            raise Unavailable("the server is shutting down", retry_after=1)
        self.in_flight += 1
        self._idle.clear()
        model.in_flight += 1
        model.idle.clear()

    def _leave(self, model: ServedModel) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()
        model.in_flight -= 1
        if not model.in_flight:
            model.idle.set()

    @staticmethod
    def _seconds(model: ServedModel, timeout: float | None) -> float:
        limit = model.setup.limits.timeout
        return limit if timeout is None or timeout <= 0 else min(limit, timeout)

    def _fork_server(self, options: EngineOptions) -> ForkServer:
        key = (options.engine, options.device.kind == "cpu")
        if key not in self._fork_servers:
            self._fork_servers[key] = ForkServer(options.engine, preload=key[1])
        return self._fork_servers[key]


class _Runner:
    """What a task sees of the service while it answers one request."""

    def __init__(self, service: Service, timing: Timing, deadline: float) -> None:
        self._service = service
        self._timing = timing
        self._deadline = deadline

    async def infer(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scheduler = self._service.models[model].scheduler
        assert scheduler is not None, "a task runs networks, not pipelines"
        rows = check_inputs(scheduler.spec, dict(inputs), trusted=True)
        return await self._service._submit(scheduler, inputs, rows, self._deadline, self._timing)

    async def compute(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._service.pool, function, *args)
