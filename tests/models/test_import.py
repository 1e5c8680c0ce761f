"""Real networks imported as anybody's: found, fitted, run, and as good as the catalogue's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.importing.draft import Wish
from paddlesrv.importing.importer import Importer
from paddlesrv.models.spec import ModelSpec
from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.tasks import make_task
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.store import Store

pytestmark = pytest.mark.models

Installed = Mapping[str, tuple[ModelSpec, Path]]
NETWORKS = {
    "PP-OCRv4_mobile_det": "text-detection",
    "PP-OCRv4_mobile_rec": "text-recognition",
    "ch_ppocr_mobile_v2.0_cls": "text-line-orientation",
    "LAC_2.1": "tensors",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_real_network_is_imported_and_answers_as_the_catalogue_s(
    name: str, installed_models: Installed, tmp_path: Path
) -> None:
    spec, root = installed_models[name]
    task = NETWORKS[name]
    characters = spec.files.get("characters") if task == "text-recognition" else None
    wish = Wish(
        path=root / (spec.program or ""),
        name="mine",
        task=task,
        labels=root / characters if characters else None,
        link=True,
    )
    found = Importer(Catalogue.load(), Store(tmp_path)).run(wish, EngineOptions())
    assert found.installed is not None
    assert found.trial is not None
    assert found.trial.result is (task != "tensors")
    if task == "tensors":
        assert [tensor.lod_level for tensor in found.spec.inputs] == [
            tensor.lod_level for tensor in spec.inputs
        ]
        return
    both = {
        "mine": (found.spec, found.installed.directory),
        name: (msgspec.structs.replace(spec, parameters=found.spec.parameters), root),
    }
    answers = []
    for key, (its_spec, its_root) in both.items():
        engine = load_engine(its_spec, its_root, EngineOptions())
        loaded = {key: LoadedModel(its_spec, its_root, engine)}
        made = make_task(its_spec, its_root)
        assert made is not None
        answers += predict_in_process(loaded, key, [made.example()])
        engine.close()
    assert answers[0] == answers[1]
