"""Which models tests ask with trained weights: all that packages hold and a task understands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.store import InstalledModel, Store

FETCHED = ("ocr", "LAC_2.1")
"""Installed before the first test that needs real models; with what they are made of."""

ASKED = (
    "mobilenet_v2_torchvision",
    "efficientnet_lite0",
    "page_orientation",
    "ssd_mobilenet_v1_face",
    "picodet_layout_cdla",
    "selfie_segmentation",
    "all-MiniLM-L6-v2",
    "slanet_plus",
)
"""Installed by the tests that ask them, in tests/models/."""


def install(home: Path, names: Sequence[str]) -> list[InstalledModel]:
    """Install models with what they need; anew where the catalogue says other things of them now.

    What tests have fetched is kept from run to run, and may be older than the catalogue.
    """
    settings = Settings(home=home)
    catalogue, store = Catalogue.load(), Store(settings.cache_dir)
    installer = Installer(catalogue, store, settings)
    for name in names:
        for entry in catalogue.with_needs(catalogue.resolve(name).entry):
            found = store.installed(entry.name)
            if found is not None and found.spec.parameters != entry.parameters:
                installer.get([entry.name], force=True)
    return installer.get(names)
