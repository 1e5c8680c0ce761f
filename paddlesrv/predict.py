"""Prediction without a server: tasks and engines joined in this very process.

For `predict` without a running server, for checks and for tests. Networks run in the thread of
the event loop: oneDNN's primitives fail in a thread other than the one that they were made in,
and paddle holds Python's lock while it runs anyhow. Nothing is batched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import msgspec

from paddlesrv.engines.base import Engine
from paddlesrv.errors import NotFound, UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import Runner, Task, TaskInput, TaskOptions
from paddlesrv.tasks.concurrency import gather

T = TypeVar("T")
COMPUTE_THREADS = 2
MAX_INPUTS_IN_FLIGHT = 4


class LoadedModel(NamedTuple):
    """A model in this process; a pipeline has no engine."""

    spec: ModelSpec
    root: Path
    engine: Engine | None


class InProcessRunner(Runner):
    """Runs networks in this thread, other CPU-heavy work in a pool. A context manager."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        """Take the engines by model name; they stay the caller's to close."""
        self._engines = dict(engines)
        self._pool = ThreadPoolExecutor(COMPUTE_THREADS, thread_name_prefix="compute")

    def __enter__(self) -> InProcessRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def infer(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a network on these rows.

        Raises:
            NotFound: no engine was given for the model.
            EngineError: the network failed.
        """
        if model not in self._engines:
            raise NotFound(
                f"{model} is not loaded", context={"loaded": ", ".join(self._engines) or "none"}
            )
        return self._engines[model].run(inputs)

    async def compute(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        """End the pool, after what it is doing."""
        self._pool.shutdown()


def make_tasks(models: Mapping[str, LoadedModel]) -> dict[str, Task]:
    """The tasks of models, each after what it needs.

    Raises:
        NotFound: a component of a model is not among the models.
        UsageError: a model's task is unknown, so only its tensors can be served.
    """
    tasks: dict[str, Task] = {}
    for name, model in sorted(models.items(), key=lambda entry: bool(entry[1].spec.components)):
        absent = [part for part in model.spec.components.values() if part not in tasks]
        if absent:
            raise NotFound(f"{name} needs {absent[0]}, which is not loaded")
        components = {role: tasks[part] for role, part in model.spec.components.items()}
        task = make_task(model.spec, model.root, components)
        if task is None:
            raise UsageError(
                f"what the tensors of {name} mean is not known (task {model.spec.task!r})",
                hints=[f"paddlesrv serve {name}, and send tensors"],
            )
        tasks[name] = task
    return tasks


async def predict(
    models: Mapping[str, LoadedModel],
    name: str,
    items: Sequence[TaskInput],
    options: TaskOptions | None = None,
) -> list[msgspec.Struct]:
    """The results of one model for each input, in order.

    Args:
        models: All that are needed: the components too.
        name: The model to ask.
        items: The inputs.
        options: What the caller asks for.

    Raises:
        NotFound: the model or a component of it is not among the models.
        UsageError: the model's task is not known.
        InvalidInput: an input is not what the task takes.
        EngineError: a network failed.
    """
    if name not in models:
        raise NotFound(f"{name} is not loaded", context={"loaded": ", ".join(models) or "none"})
    needed = {
        key: models[key] for key in (name, *models[name].spec.components.values()) if key in models
    }
    task = make_tasks(needed)[name]
    engines = {key: model.engine for key, model in needed.items() if model.engine is not None}
    with InProcessRunner(engines) as runner:
        answers = (task.answer(item, options or TaskOptions(), runner) for item in items)
        return await gather(answers, at_once=MAX_INPUTS_IN_FLIGHT)


def predict_in_process(
    models: Mapping[str, LoadedModel],
    name: str,
    items: Sequence[TaskInput],
    options: TaskOptions | None = None,
) -> list[msgspec.Struct]:
    """`predict` for callers without an event loop."""
    return asyncio.run(predict(models, name, items, options))
