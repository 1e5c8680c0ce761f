"""An importer with an empty store, whose catalogue is the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddlesrv.engines.base import EngineOptions
from paddlesrv.importing.draft import Wish
from paddlesrv.importing.importer import Imported, Importer
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.store import Store

Import = Callable[..., Imported]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def import_(store: Store) -> Import:
    """Import a path; without a run of the network unless asked for one."""

    def run(path: Path, **wish: Any) -> Imported:
        asked = Wish(path=path, **{"run": False, **wish})
        return Importer(Catalogue.load(), store).run(asked, EngineOptions())

    return run
