"""Asking models in this very process: the same two calls as `client.http`, without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import msgspec

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.errors import InvalidInput
from paddlesrv.models.tensor import Tensor
from paddlesrv.predict import InProcessRunner, LoadedModel, make_tasks
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.pictures import Picture, check_wanted, render
from paddlesrv.server.validation import check_inputs
from paddlesrv.tasks.base import Task, TaskInput, TaskOptions


class LocalClient:
    """One model, and what it is made of, loaded here. To be used in a `with`."""

    def __init__(
        self, model: LocalModel, parts: list[LocalModel], options: Mapping[str, EngineOptions]
    ) -> None:
        """Load the networks.

        Args:
            model: What is asked.
            parts: Its component models, if it has any.
            options: How each network runs, by its name.

        Raises:
            DeviceUnavailable, IntegrityError, EngineError: a network cannot be loaded.
            UsageError: what the model's tensors mean is not known.
        """
        self.name = model.spec.name
        self._stack = ExitStack()
        self._seconds = 0.0
        with ExitStack() as loading:
            loaded: dict[str, LoadedModel] = {}
            for part in (*parts, model):
                engine: Engine | None = None
                if part.spec.format != "pipeline":
                    network = load_engine(part.spec, part.root, options[part.spec.name])
                    loading.callback(network.close)
                    engine = _Checked(self, part, network)
                loaded[part.spec.name] = LoadedModel(part.spec, part.root, engine)
            self._task: Task = make_tasks(loaded)[self.name]
            engines = {name: m.engine for name, m in loaded.items() if m.engine is not None}
            self._runner = loading.enter_context(InProcessRunner(engines))
            self._stack = loading.pop_all()
        self._last: tuple[TaskInput, msgspec.Struct] | None = None

    def __enter__(self) -> LocalClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def predict(self, model: str, item: TaskInput, options: TaskOptions) -> dict[str, Any]:
        """The answer on one input, in the form of a server's.

        Raises:
            InvalidInput: the input is not what the task takes.
            EngineError: a network failed.
        """
        if item.kind not in self._task.accepts:
            raise InvalidInput(
                f"{model} does not take {item.kind}",
                context={"wanted": " or ".join(self._task.accepts)},
            )
        self._seconds, began = 0.0, time.perf_counter()
        result = asyncio.run(self._answer(item, options))
        self._last = (item, result)
        total = time.perf_counter() - began
        return {
            "schema": 1,
            "model": self.name,
            "task": self._task.name,
            "results": [msgspec.to_builtins(result)],
            "timing_ms": {
                "queue": 0.0,
                "compute": round(self._seconds * 1e3, 3),
                "total": round(total * 1e3, 3),
            },
        }

    def picture(self, wanted: Picture, model: str, item: TaskInput, options: TaskOptions) -> bytes:
        """The picture with the model's result painted on it, or the class map, as PNG.

        Raises:
            InvalidInput: the task has no such picture, or the input is none.
        """
        check_wanted(wanted, self._task, [item])
        if self._last is not None and self._last[0] is item:
            result = self._last[1]
        else:
            result = asyncio.run(self._answer(item, options))
        return render(wanted, self._task, item, result)

    async def _answer(self, item: TaskInput, options: TaskOptions) -> msgspec.Struct:
        return await self._task.answer(item, options, self._runner)

    def spent(self, seconds: float) -> None:
        """Count time that a network took."""
        self._seconds += seconds


class _Checked:
    """A network that is only given input that cannot kill this process, and whose time counts."""

    def __init__(self, client: LocalClient, model: LocalModel, network: Engine) -> None:
        self._client = client
        self._model = model
        self._network = network

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Check, run, and count the seconds."""
        check_inputs(self._model.spec, dict(inputs))
        began = time.perf_counter()
        try:
            return self._network.run(inputs)
        finally:
            self._client.spent(time.perf_counter() - began)

    def close(self) -> None:
        """Give back what the network holds."""
        self._network.close()
