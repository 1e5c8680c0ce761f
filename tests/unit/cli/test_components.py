"""A model with a network of its own that needs another model: both come, stay and go together."""

import pytest

from paddlesrv.errors import UsageError
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.store import Store
from tests.unit.cli.shelf import BODY, FILE, SOURCE, entries
from tests.unit.zoo import models


@pytest.fixture
def chain(shelf, paddlesrv):
    """`front` has a network, and asks `rec`."""
    front = models.entry("front", SOURCE, components={"reader": "rec"})
    shelf.write([*entries(), front])
    return shelf


@pytest.fixture
def store(home):
    return Store(home / "cache")


def test_getting_it_gets_its_part_first(chain, paddlesrv, store):
    ended = paddlesrv("get", "front", "-q")
    assert ended.out.splitlines() == ["rec", "front"]
    assert chain.downloads == 1
    spec = store.installed("front").spec
    assert (spec.format, spec.components) == ("paddle-program", {"reader": "rec"})
    assert spec.inputs
    assert store.installed("front").source == "wheel"


def test_a_dry_run_names_the_sources_of_both(chain, paddlesrv):
    document = paddlesrv("get", "front", "--dry-run", "--json").document
    assert [m["name"] for m in document["models"]] == ["rec", "front"]
    assert all(m["sources"] for m in document["models"])


def test_its_part_stays_as_long_as_it_does(chain, paddlesrv, store):
    assert paddlesrv("get", "front").code == 0
    ended = paddlesrv("rm", "rec", "-y")
    assert ended.code == 7
    assert "rec is needed by front, which is installed" in ended.err
    assert paddlesrv("rm", "front", "rec", "-y").code == 0
    assert store.names() == []


def test_both_are_verified_and_a_part_that_is_gone_is_damage(chain, paddlesrv, store):
    assert paddlesrv("get", "front").code == 0
    assert [m["name"] for m in paddlesrv("verify", "front", "--json").document["models"]] == [
        "rec",
        "front",
    ]
    store.remove("rec")
    ended = paddlesrv("verify", "front")
    assert ended.code == 5
    assert "its part rec is not installed" in ended.out + ended.err
    assert paddlesrv("verify", "front", "--fix").code == 0
    assert store.names() == ["front", "rec"]


def test_a_mirror_has_the_files_of_both(chain, paddlesrv, monkeypatch, tmp_path):
    made = tmp_path / "made"
    assert paddlesrv("mirror", str(made), "front").code == 0
    assert (made / "front" / FILE).read_bytes() == (made / "rec" / FILE).read_bytes() == BODY
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("PADDLESRV_MIRROR", str(made))
    asked = len(chain.web.requests)
    assert paddlesrv("get", "front", "-q").out.splitlines() == ["rec", "front"]
    assert len(chain.web.requests) == asked


def test_its_own_files_can_be_given_and_its_part_comes_from_its_source(
    chain, paddlesrv, store, tmp_path
):
    own = tmp_path / "own"
    own.mkdir()
    (own / "x.pdmodel").write_bytes(models.PROGRAM)
    (own / "x.pdiparams").write_bytes(models.PARAMS)
    assert paddlesrv("get", "front", "--from", str(own)).code == 0
    assert store.installed("front").where == str(own)
    assert store.installed("rec").source == "wheel"
    installed_at = store.installed("rec").installed_at
    assert paddlesrv("get", "front", "--from", str(own), "--force").code == 0
    assert store.installed("rec").installed_at == installed_at


def test_a_pipeline_has_no_files_that_could_be_given(chain, store, tmp_path):
    installer = Installer(Catalogue.load(chain.manifest), store, Settings())
    with pytest.raises(UsageError, match="--from gives the files of one model"):
        installer.get(["pipe"], from_=str(tmp_path))
