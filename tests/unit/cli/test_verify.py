"""`verify`: every kind of damage is seen, and put right without a moment without the model."""

import json
import shutil

import pytest

from paddlesrv.zoo.store import Store
from tests.standins import linear
from tests.unit.cli.shelf import FILE
from tests.unit.zoo import models


@pytest.fixture
def store(home):
    return Store(home / "cache")


@pytest.fixture
def det(shelf, paddlesrv, store):
    """A model that is installed, and the directory of its content."""
    assert paddlesrv("get", "det").code == 0
    return store.installed("det").directory


def test_whole_models_are_told_with_their_files_and_size(det, paddlesrv):
    ended = paddlesrv("verify")
    assert ended.code == 0
    size = len(models.PROGRAM) + len(models.PARAMS) + len("text\n")
    assert ended.out.startswith("ok det (3 files, ")
    (record,) = paddlesrv("verify", "--json").document["models"]
    assert (record["state"], record["files"], record["size_bytes"]) == ("ok", 3, size)
    assert paddlesrv("verify", "-q").out == ""


def damage_change(directory):
    with (directory / "inference.pdiparams").open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))
    return "inference.pdiparams: expected sha256"


def damage_missing(directory):
    (directory / "inference.pdmodel").unlink()
    return "inference.pdmodel: No such file"


def damage_directory_instead(directory):
    (directory / "labels.txt").unlink()
    (directory / "labels.txt").mkdir()
    return "labels.txt: Is a directory"


def damage_spec(directory):
    (directory / "spec.json").write_text("{")
    return "the records of det are damaged"


def damage_spec_no_text(directory):
    (directory / "spec.json").write_bytes(b'{"name": "\xff\xfe"}')
    return "the records of det are damaged"


def damage_spec_that_parses(directory):
    spec = json.loads((directory / "spec.json").read_text())
    spec["max_batch_size"] += 1
    (directory / "spec.json").write_text(json.dumps(spec))
    return "spec.json: it has changed"


def damage_install_record(directory):
    (directory / "install.json").write_text("[]")
    return "the records of det are damaged"


def damage_no_record(directory):
    (directory / "install.json").unlink()
    return "install.json missing"


def damage_content_gone(directory):
    shutil.rmtree(directory)
    return "is gone"


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_said_and_put_right(damage, det, shelf, store, paddlesrv):
    said = damage(det)
    asked = len(shelf.web.requests)
    ended = paddlesrv("verify")
    assert ended.code == 5
    assert ended.out.startswith("damaged det: ")
    assert said in ended.out
    assert "hint: fetch again what is damaged: paddlesrv verify det --fix" in ended.err
    assert paddlesrv("verify", "-q").out == "det\n"
    ended = paddlesrv("verify", "--json")
    assert ended.code == 5
    assert ended.document["models"][0]["state"] == "damaged"
    planned = paddlesrv("verify", "--fix", "--dry-run")
    assert planned.code == 0
    assert "det: would be fetched" in planned.out
    assert len(shelf.web.requests) == asked, "no network without --fix"
    fixed = paddlesrv("verify", "--fix")
    assert fixed.code == 0, fixed.err
    assert "fixed det (3 files" in fixed.out
    assert paddlesrv("verify").code == 0
    store.verify_digests(store.installed("det"))


def test_a_real_directory_in_a_models_place_is_damage_and_is_replaced(shelf, store, paddlesrv):
    place = store.models_dir / "det"
    place.mkdir(parents=True)
    (place / "spec.json").write_text("{}")
    assert paddlesrv("verify").code == 5
    assert paddlesrv("verify", "--fix").code == 0
    assert place.is_symlink()
    assert paddlesrv("rm", "det", "-y").code == 0
    assert list(store.objects_dir.iterdir()) == []


def test_the_damaged_model_stays_until_the_new_one_is_whole(det, shelf, store, paddlesrv):
    damage_change(det)
    shelf.web.put(f"/files/{FILE}", b"something else", etag='"two"')
    ended = paddlesrv("verify", "--fix")
    assert ended.code == 5
    assert "det" in ended.err
    assert "damaged still" in ended.err
    assert store.installed("det").directory == det
    assert (det / "inference.pdmodel").read_bytes() == models.PROGRAM


def test_files_that_nobody_listed_are_told_and_are_no_damage(det, paddlesrv):
    (det / "more").mkdir()
    (det / "more" / "extra.txt").write_text("x")
    (det / "link").symlink_to("/")
    ended = paddlesrv("verify")
    assert ended.code == 0
    assert "not listed: link, more/extra.txt" in ended.out
    (record,) = paddlesrv("verify", "--json").document["models"]
    assert record["unlisted"] == ["link", "more/extra.txt"]


def test_a_pipelines_parts_are_looked_at_and_fetched_once(shelf, store, paddlesrv):
    assert paddlesrv("get", "pipe").code == 0
    asked = shelf.downloads
    damage_change(store.installed("det").directory)
    damage_missing(store.installed("rec").directory)
    ended = paddlesrv("verify", "pipe", "-q")
    assert ended.out.splitlines() == ["det", "rec"]
    assert paddlesrv("verify", "pipe", "--fix").code == 0
    assert shelf.downloads == asked + 1


def test_a_pipeline_without_a_part_is_damaged_and_gets_it_back(shelf, store, paddlesrv):
    assert paddlesrv("get", "pipe").code == 0
    store.remove("rec")
    ended = paddlesrv("verify", "pipe")
    assert ended.code == 5
    assert "damaged pipe: its part rec is not installed" in ended.out
    assert paddlesrv("verify", "--fix").code == 0
    assert store.installed("rec") is not None


def test_an_own_model_cannot_be_fetched_and_the_way_to_put_it_right_is_said(
    home, paddlesrv, store, tmp_path
):
    linear.write_onnx(tmp_path / "mine")
    assert paddlesrv("import", str(tmp_path / "mine")).code == 0
    (name,) = store.names()
    directory = store.installed(name).directory
    next(directory.glob("*.onnx")).write_bytes(b"rot")
    ended = paddlesrv("verify", "--fix")
    assert ended.code == 5
    assert f"hint: put it here anew: paddlesrv import {tmp_path / 'mine'}" in ended.err
    plan = paddlesrv("verify", "--fix", "--dry-run", "--json").document["models"]
    assert plan[0]["refusal"]
    assert plan[0]["fetch"] == []


def test_a_linked_models_files_are_read_where_they_are(home, paddlesrv, tmp_path):
    linear.write_onnx(tmp_path / "mine")
    assert paddlesrv("import", str(tmp_path / "mine"), "--link").code == 0
    assert paddlesrv("verify").code == 0
    assert "not listed" not in paddlesrv("verify").out
    shutil.rmtree(tmp_path / "mine")
    assert paddlesrv("verify").code == 5


def test_names_that_are_not_here_exit_3(shelf, paddlesrv):
    ended = paddlesrv("verify", "the_det")
    assert ended.code == 3
    assert "hint: get it: paddlesrv get det" in ended.err
    assert paddlesrv("verify", "nonesuch").code == 3
    assert paddlesrv("verify", "--dry-run").code == 2
    assert paddlesrv("verify").code == 0


def test_offline_a_damaged_model_stays_damaged_with_exit_5(det, paddlesrv):
    damage_missing(det)
    assert paddlesrv("verify", "--fix", "--offline").code == 5
