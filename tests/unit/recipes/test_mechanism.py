"""A recipe runs in its own process; what it makes is installed, and what it says is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from paddlesrv.errors import EngineError, IntegrityError, PaddlesrvError, SourceUnreachable
from paddlesrv.settings import Settings
from paddlesrv.zoo import recipe
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.mirroring import MirrorWriter
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.progress import SilentObserver
from paddlesrv.zoo.store import Store
from paddlesrv.zoo.verification import look_at
from tests.unit.zoo import models

# What the process below runs: our own worker, with one more recipe.
WORKER = """
from paddlesrv.recipes import RECIPES
from paddlesrv.recipes.worker import main
RECIPES["whole"] = "joining"
main()
"""
# A tiny network, whose parameters come in two halves.
RECIPE = """
import os, signal
from paddlesrv.errors import IntegrityError
VERSION = 3
def build(source, target, options):
    deed = options.get("deed")
    if deed == "refuse":
        raise IntegrityError("half is missing", context={"looked for": "b"}, hints=["get it"])
    if deed == "fail":
        raise RuntimeError("surprise")
    if deed == "crash":
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if deed == "hang":
        signal.pause()
    halves = (source / "a").read_bytes() + (source / "b").read_bytes()
    (target / "inference.pdiparams").write_bytes(halves)
    (target / "inference.pdmodel").write_bytes((source / "net").read_bytes())
"""
MIDDLE = len(models.PARAMS) // 2
HALVES = models.tar_gz(
    {"a": models.PARAMS[:MIDDLE], "b": models.PARAMS[MIDDLE:], "net": models.PROGRAM}
)


class Listener(SilentObserver):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "joining.py").write_text(RECIPE)
    (modules / "working.py").write_text(WORKER)
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.setattr(recipe, "WORKER", "working")


class Scene:
    """A catalogue with one model in halves, and a store."""

    def __init__(self, directory: Path, body: bytes = HALVES, **options: Any) -> None:
        self.archive = directory / "halves.tar.gz"
        self.archive.write_bytes(body)
        source = {"kind": "file", "path": str(self.archive), "sha256": models.sha256(body)}
        entry = models.entry("m1", source, recipe={"name": "whole", "options": options})
        self.catalogue = models.catalogue(directory, entry)
        self.store = Store(directory / "store")
        self.listener = Listener()

    def installer(self, **settings: Any) -> Installer:
        retry = Retry(delays=(), connect_delays=())
        return Installer(
            self.catalogue, self.store, Settings(**settings), self.listener, retry=retry
        )


def test_the_made_model_is_installed_and_says_how_it_was_made(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (model,) = scene.installer().get(["m1"])
    assert (model.directory / "inference.pdiparams").read_bytes() == models.PARAMS
    assert sorted(model.spec.digests) == ["inference.pdiparams", "inference.pdmodel"]
    assert model.spec.made is not None
    assert (model.spec.made.recipe, model.spec.made.version) == ("whole", 3)
    assert model.spec.made.sources == {"halves.tar.gz": models.sha256(HALVES)}
    assert model.sha256 == models.sha256(HALVES)
    assert scene.listener.notes == ["m1: converting (recipe whole)"]
    scene.store.verify_digests(model)
    assert scene.store.leftovers() == []


def test_the_same_files_made_from_others_are_another_revision(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    more = models.tar_gz({"a": models.PARAMS[:1], "b": models.PARAMS[1:], "net": models.PROGRAM})
    (one,) = Scene(tmp_path / "one").installer().get(["m1"])
    (two,) = Scene(tmp_path / "two", more).installer().get(["m1"])
    assert one.spec.digests == two.spec.digests
    assert one.spec.revision != two.spec.revision


def test_what_the_recipe_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    scene = Scene(tmp_path, deed="refuse")
    with pytest.raises(IntegrityError) as caught:
        scene.installer().get(["m1"])
    assert "m1: half is missing" in " ".join(caught.value.context.values())
    assert caught.value.hints == ("get it",)
    assert scene.store.installed("m1") is None
    assert scene.store.leftovers() == []


@pytest.mark.parametrize(
    ("deed", "how", "last"),
    [
        ("fail", "ended with status 1", "RuntimeError: surprise"),
        ("crash", "killed by SIGSEGV", "last words"),
    ],
)
def test_a_recipe_that_dies_is_told_with_its_last_words(
    tmp_path: Path, deed: str, how: str, last: str
) -> None:
    scene = Scene(tmp_path, deed=deed)
    with pytest.raises(EngineError) as caught:
        scene.installer().get(["m1"])
    assert how in caught.value.message
    assert last in caught.value.context["it wrote last"]
    assert scene.store.installed("m1") is None
    assert scene.store.leftovers() == []


def test_a_recipe_that_hangs_is_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path, deed="hang")
    (entry,) = scene.catalogue.entries
    with pytest.raises(EngineError, match="took longer than 1 s"):
        recipe.make(entry, tmp_path, tmp_path, {}, timeout_seconds=1)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (entry,) = scene.catalogue.entries
    import msgspec

    other = msgspec.structs.replace(
        entry, recipe=msgspec.structs.replace(entry.recipe, name="unknown")
    )
    with pytest.raises(PaddlesrvError, match="no recipe called 'unknown'"):
        recipe.make(other, tmp_path, tmp_path, {})


def test_a_network_that_the_user_names_is_taken_as_it_is(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    (ready / "inference.pdmodel").write_bytes(models.PROGRAM)
    (ready / "inference.pdiparams").write_bytes(models.PARAMS)
    scene = Scene(tmp_path, deed="refuse")
    (model,) = scene.installer().get(["m1"], from_=str(ready))
    assert model.spec.made is None
    assert scene.listener.notes == []


def test_a_mirror_holds_the_sources_and_the_model_is_made_of_them(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    mirror = tmp_path / "mirror"
    writer = MirrorWriter(mirror, scene.catalogue, scene.store, Settings(), scene.listener)
    (done,) = writer.write(scene.catalogue.entries)
    assert done.fetched == ("m1/halves.tar.gz",)
    assert (mirror / "m1" / "halves.tar.gz").read_bytes() == HALVES
    scene.archive.unlink()
    (model,) = scene.installer(mirror=str(mirror), offline=True).get(["m1"])
    assert model.source == "mirror"
    assert model.spec.made is not None


def test_damage_is_seen_and_made_good(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (model,) = scene.installer().get(["m1"])
    (model.directory / "inference.pdiparams").write_bytes(b"x")
    assert look_at(scene.store, "m1").damage
    scene.installer().get(["m1"], force=True)
    assert not look_at(scene.store, "m1").damage


def test_nothing_to_get_says_so_before_a_process_is_started(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.archive.unlink()
    with pytest.raises(SourceUnreachable):
        scene.installer().get(["m1"])
    assert scene.listener.notes == []
    assert "working" not in sys.modules
