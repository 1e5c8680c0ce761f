"""The installed models that a running server could load: those of the store, by name alone."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from paddlesrv.errors import NotFound
from paddlesrv.server.config import ServerConfig
from paddlesrv.server.deciding import decide
from paddlesrv.server.launch import plan, setups
from paddlesrv.server.locate import find_local, locate
from paddlesrv.server.service import ModelSetup
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.store import Store


class StoreShelf:
    """The models of the store.

    Args:
        config: That of the server: a model runs where and as often as the first one in it, on the
            engine that was chosen for it before, or else the one that its files are made for.
        catalogue: What names and aliases mean.
        store: Where models are installed.
    """

    def __init__(self, config: ServerConfig, catalogue: Catalogue, store: Store) -> None:
        self._config = config
        self._catalogue = catalogue
        self._store = store

    def names(self) -> list[str]:
        """Every model that is installed."""
        return [model.spec.name for model in self._store.installed_models()]

    def setups(self, name: str) -> Sequence[ModelSetup]:
        """What the service needs to serve a model, its components first.

        Raises:
            NotFound: no model of that name is installed.
            PaddlesrvError: it cannot be served here.
        """
        own = self._name(name)
        like = self._config.models[0]
        config = replace(like, name=own, path=None, engine="auto", max_batch_size=None)
        located = locate([config], self._catalogue, self._store)
        planned = plan(
            [model.config for model in located],
            lambda part: find_local(located, self._catalogue, self._store, part),
        )
        # A trial takes too long for a server that answers meanwhile.
        decided = decide(planned, self._store.root, limit_seconds=0)
        return setups(planned, decided.options)

    def _name(self, asked: str) -> str:
        """The name of an installed model; a path is none, whatever lies there."""
        try:
            name = self._catalogue.resolve(asked).entry.name
        except NotFound:
            name = asked
        if name not in self.names():
            raise NotFound(
                f"model {asked!r} is not installed",
                context={"installed": ", ".join(self.names()) or "none"},
                hints=["get it on the server's machine: paddlesrv get NAME"],
            )
        return name
