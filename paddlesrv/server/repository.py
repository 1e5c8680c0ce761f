"""The repository: which models there are, and loading and unloading them while the server runs.

Loading takes names alone, of models that were served here or are installed: no paths, no files
that come with the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from paddlesrv.errors import Forbidden, InvalidInput, NotFound, Unavailable
from paddlesrv.server.service import VERSION, ModelSetup, ServedModel, Service
from paddlesrv.server.statistics import Statistics
from paddlesrv.tasks.base import TaskOptions

_NONE: Mapping[str, Any] = MappingProxyType({})


class Shelf(Protocol):
    """Models that are installed on this machine. Its methods read files, and may block."""

    def names(self) -> Sequence[str]:
        """Their names."""

    def setups(self, name: str) -> Sequence[ModelSetup]:
        """What the service needs to serve one, its components first.

        Raises:
            NotFound: no such model is installed.
        """


class Entry(msgspec.Struct, frozen=True):
    """One model of the repository, with the words for its state that Triton's clients know."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
    reason: str = ""


class Repository:
    """The models of one server.

    Args:
        service: What serves them.
        admin: Whether clients may load and unload.
        load_timeout: Seconds that a model may take to load.
        shelf: What else could be served.
    """

    def __init__(
        self,
        service: Service,
        *,
        admin: bool = False,
        load_timeout: float = 120.0,
        shelf: Shelf | None = None,
    ) -> None:
        self._service = service
        self._admin = admin
        self._load_timeout = load_timeout
        self._shelf = shelf
        self._changing = asyncio.Lock()

    async def index(self, *, ready: bool = False) -> list[Entry]:
        """Every model that is or was served; for administrators, those that are installed too.

        Args:
            ready: Only those that would take a request now.
        """
        entries = [_entry(model) for model in self._service.models.values()]
        unloaded = self._service.unloaded
        entries += [Entry(name, VERSION, "UNAVAILABLE", "unloaded") for name in unloaded]
        if self._admin and self._shelf is not None and not ready:
            known = {entry.name for entry in entries}
            loop = asyncio.get_running_loop()
            names = await loop.run_in_executor(self._service.pool, self._shelf.names)
            installed = "installed, not loaded"
            entries += [
                Entry(n, VERSION, "UNAVAILABLE", installed) for n in names if n not in known
            ]
        return [entry for entry in entries if entry.state == "READY" or not ready]

    def statistics(self, name: str = "", version: str | None = None) -> dict[str, Statistics]:
        """The sums of one model, or of all; pipelines have none of their own.

        Raises:
            NotFound: no such model is served here.
        """
        models = [self._service.find(name, version)] if name else self._service.models.values()
        return {m.name: m.scheduler.statistics for m in models if m.scheduler is not None}

    async def load(self, name: str, parameters: Mapping[str, Any] = _NONE) -> None:
        """Serve a model, and what it is made of, from when its workers have answered an example.

        One that is served already stays as it is.

        Args:
            name: The model's name.
            parameters: Whatever the client would change; nothing can be.

        Raises:
            Forbidden: clients may not.
            InvalidInput: there are parameters.
            NotFound: no such model is installed.
            PaddlesrvError: what keeps it from being served; nothing of it is left then.
        """
        self._allow("load")
        if parameters:
            raise InvalidInput(
                "a model is loaded as it is installed",
                context={"found": ", ".join(sorted(parameters)), "wanted": "no parameters"},
            )
        async with self._changing:
            if self._service.draining:
                raise Unavailable("the server is shutting down")
            if name in self._service.models:
                return
            added: list[ServedModel] = []
            known = set(self._service.unloaded)
            try:
                for setup in await self._setups(name):
                    if setup.spec.name not in self._service.models:
                        added.append(
                            self._service.add(
                                setup, load_timeout=self._load_timeout, state="loading"
                            )
                        )
                await self._ready(added)
            except BaseException:
                for model in reversed(added):
                    await self._service.remove(model)
                    if model.name not in known:
                        del self._service.unloaded[model.name]
                raise
            for model in added:
                model.state = "serving"

    async def unload(self, name: str, parameters: Mapping[str, Any] = _NONE) -> None:
        """Serve a model no more, from now on; done when what it had taken is answered.

        Raises:
            Forbidden: clients may not.
            InvalidInput: another model is made of it; or what it is made of shall go as well.
            NotFound: no such model is served.
        """
        self._allow("unload")
        if parameters.get("unload_dependents"):
            raise InvalidInput(
                "models are unloaded one by one",
                context={"found": "unload_dependents", "wanted": "no such parameter"},
            )
        async with self._changing:
            if name in self._service.unloaded:
                return
            model = self._service.find(name)
            for other in self._service.models.values():
                if model in other.components:
                    raise InvalidInput(
                        f"model {model.name!r} is a part of {other.name!r}",
                        hints=[f"unload {other.name!r} first"],
                    )
            await self._service.remove(model)

    def _allow(self, what: str) -> None:
        if not self._admin:
            raise Forbidden(
                f"clients may not {what} models on this server",
                hints=["start it with --admin to let them"],
            )

    async def _setups(self, name: str) -> Sequence[ModelSetup]:
        known = self._service.unloaded.get(name)
        if known is not None:
            parts: list[ModelSetup] = []
            for component in known.spec.components.values():
                if component not in self._service.models:
                    parts += await self._setups(component)
            return [*parts, known]
        if self._shelf is None:
            raise NotFound(
                f"model {name!r} is not known here",
                context={"known": ", ".join([*self._service.models, *self._service.unloaded])},
            )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._service.pool, self._shelf.setups, name)

    async def _ready(self, models: Sequence[ServedModel]) -> None:
        """Wait until they have loaded and answered their tasks' own examples."""
        workers = [w for m in models if m.scheduler is not None for w in m.scheduler.workers]
        await asyncio.gather(*(worker.loaded for worker in workers))
        for model in models:
            if model.setup.task is not None:
                example = model.setup.task.example()
                await self._service.predict(model.name, [example], TaskOptions())


def _entry(model: ServedModel) -> Entry:
    if model.ready:
        return Entry(model.name, VERSION, "READY")
    if model.state == "loading":
        return Entry(model.name, VERSION, "LOADING")
    if model.state == "unloading":
        return Entry(model.name, VERSION, "UNLOADING")
    return Entry(model.name, VERSION, "UNAVAILABLE", "no worker serves it")
