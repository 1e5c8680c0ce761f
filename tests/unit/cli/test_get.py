"""`get` of several models: one download for all that share a file, and no failure stops others."""

import pytest

from paddlesrv.zoo.store import Store
from tests.unit.cli.shelf import entries
from tests.unit.zoo import models


@pytest.fixture
def store(home):
    return Store(home / "cache")


def test_a_file_that_several_models_need_is_fetched_once(shelf, store, paddlesrv):
    ended = paddlesrv("get", "det", "rec", "pipe", "-q")
    assert ended.code == 0
    assert ended.out.splitlines() == ["det", "rec", "pipe"]
    assert shelf.downloads == 1
    assert store.leftovers() == []


@pytest.mark.parametrize("names", [["broken", "det"], ["det", "broken", "rec"]])
def test_one_that_fails_does_not_stop_the_others(names, shelf, store, paddlesrv):
    missing = models.wheel_source("none-1.whl", b"x", {"a/": "./"})
    shelf.write([*entries(), models.entry("broken", missing)])
    ended = paddlesrv("get", *names)
    assert ended.code == 4
    assert "warning: broken: " in ended.err
    assert f"1 of {len(names)} models" in ended.err
    assert store.names() == sorted(set(names) - {"broken"})
    assert shelf.downloads == 1


def test_a_part_that_fails_is_tried_once_for_all_that_need_it(shelf, store, paddlesrv):
    shelf.web.put("/simple/tiny-models/", b"", content_type="text/html")
    ended = paddlesrv("get", "det", "pipe", "rec")
    assert ended.code == 4
    assert "3 of 3 models" in ended.err
    pages = sum(request.path.startswith("/simple/") for request in shelf.web.requests)
    assert pages == 2, "one for det, one for rec"
    assert store.names() == []


def test_files_that_nobody_needs_any_more_do_not_pile_up(shelf, store, paddlesrv, tmp_path):
    """Only what a later model needs as well is kept while others are fetched."""
    from paddlesrv.settings import Settings
    from paddlesrv.zoo.catalogue import Catalogue
    from paddlesrv.zoo.install import Installer

    urls = [shelf.web.put(f"/{i}.tar.gz", models.serving_archive(f"m{i}")) for i in range(3)]
    every = [models.entry(f"m{i}", models.https(url)) for i, url in enumerate(urls)]
    catalogue = models.catalogue(tmp_path, *every)
    assert isinstance(catalogue, Catalogue)
    installer = Installer(catalogue, store, Settings())
    held = [
        sum(1 for path in store.staging_dir.rglob("*") if path.is_file())
        for outcome in installer.get_each(["m0", "m1", "m2"])
        if outcome.error is None
    ]
    assert held == [0, 0, 0]


def test_an_unknown_name_among_others_is_told_before_anything_is_fetched(shelf, paddlesrv):
    assert paddlesrv("get", "det", "nonesuch").code == 3
    assert shelf.downloads == 0


def test_all_tells_what_became_of_each_and_a_further_run_changes_nothing(shelf, store, paddlesrv):
    missing = models.wheel_source("none-1.whl", b"x", {"a/": "./"})
    shelf.write([models.entry("broken", missing), *entries()])
    ended = paddlesrv("get", "--all", "--json")
    assert ended.code == 4
    states = {model["name"]: model["state"] for model in ended.document["models"]}
    assert states == {
        "broken": "failed", "det": "installed", "rec": "installed", "pipe": "installed",
        "lost": "skipped",
    }  # fmt: skip
    assert ended.document["error"]["code"] == "source-unreachable"
    assert store.names() == ["det", "pipe", "rec"]
    shelf.write(entries())
    again = paddlesrv("get", "--all", "--json")
    assert again.code == 0
    assert again.document["counts"] == {"installed": 0, "here": 3, "skipped": 1, "failed": 0}
    assert shelf.downloads == 1
