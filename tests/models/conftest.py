"""The real models, loaded into this process by the engine `paddle`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.models.spec import ModelSpec
from paddlesrv.predict import LoadedModel


@pytest.fixture(scope="session")
def loaded_models(
    installed_models: Mapping[str, tuple[ModelSpec, Path]],
) -> Iterator[dict[str, LoadedModel]]:
    loaded = {
        name: LoadedModel(
            spec,
            root,
            None if spec.format == "pipeline" else load_engine(spec, root, EngineOptions()),
        )
        for name, (spec, root) in installed_models.items()
    }
    yield loaded
    for model in loaded.values():
        if model.engine is not None:
            model.engine.close()
