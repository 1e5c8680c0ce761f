"""`list`, `search`, `info`: forms, filters, and what is said of unknown names."""

import json

import pytest

from paddlesrv.zoo.catalogue import Catalogue

NAMES = [entry.name for entry in Catalogue.load().entries]
FIELDS = {"name", "aliases", "task", "collection", "status", "installed", "size_bytes"}


def test_list_shows_each_model_once_with_a_count(paddlesrv):
    ended = paddlesrv("list")
    header, *rows = ended.out.splitlines()
    assert header.split() == ["NAME", "TASK", "SIZE", "STATUS", "ALIASES"]
    assert [row.split()[0] for row in rows] == NAMES
    assert ended.err == f"{len(NAMES)} models, 0 installed\n"
    assert ended.code == 0


def test_list_as_json_is_the_documented_form(paddlesrv):
    ended = paddlesrv("list", "--json")
    assert ended.document["schema"] == 1
    assert [model["name"] for model in ended.document["models"]] == NAMES
    assert all(set(model) == FIELDS for model in ended.document["models"])
    assert ended.err == ""


def test_quiet_prints_names_only(paddlesrv):
    ended = paddlesrv("list", "-q")
    assert ended.out.splitlines() == NAMES
    assert ended.err == ""


@pytest.mark.parametrize("name", ["list", "ls"])
@pytest.mark.parametrize("flag", ["--json", "-q", "--quiet", "-qv"])
def test_shared_flags_work_before_and_after_the_command(name, flag, paddlesrv):
    before, after = paddlesrv(flag, name), paddlesrv(name, flag)
    assert before == after
    assert before.code == 0


def test_filters_narrow_the_list(paddlesrv):
    tasks = {m["task"] for m in paddlesrv("list", "--task", "ocr", "--json").document["models"]}
    assert tasks == {"ocr"}
    found = paddlesrv("list", "--collection", "paddle-serving-0.7", "--json").document["models"]
    assert len(found) == 42
    assert paddlesrv("list", "--installed", "-q").out == ""


@pytest.mark.parametrize(
    ("flag", "wrong", "near"),
    [
        ("--task", "image-clasification", "image-classification"),
        ("--collection", "paddle-serving", "paddle-serving-0.7"),
    ],
)
def test_an_unknown_filter_is_an_error_with_a_suggestion(flag, wrong, near, paddlesrv):
    ended = paddlesrv("list", flag, wrong)
    assert ended.code == 3
    assert f"hint: did you mean {near}?" in ended.err


def test_search_finds_by_description_best_first(paddlesrv):
    ended = paddlesrv("search", "resnet50", "--json")
    assert ended.document["models"][0]["name"] == "ResNet50_vd"
    assert "description" in ended.document["models"][0]
    assert paddlesrv("search", "no", "such", "thing", "at", "all", "-q").out == ""


def test_info_by_alias_tells_all_the_catalogue_knows(paddlesrv):
    ended = paddlesrv("info", "resnet50", "--json")
    assert ended.document["name"] == "ResNet50_vd"
    assert ended.document["installed"] is None
    assert ended.document["sources"]
    human = paddlesrv("info", "resnet50").out
    assert "name" in human
    assert ended.document["sources"][0]["url"] in human
    assert "paddlesrv get ResNet50_vd" in human


@pytest.mark.parametrize("command", ["info", "get", "serve"])
def test_an_unknown_name_exits_3_and_says_what_may_be_meant(command, paddlesrv):
    ended = paddlesrv(command, "ressnet50")
    assert ended.code == 3
    assert ended.out == ""
    message, *rest = ended.err.splitlines()
    assert message == "error: no model in the catalogue is called 'ressnet50'"
    assert rest[0] == ""
    assert rest[1].startswith("hint: did you mean resnet50")


def test_one_damaged_model_does_not_hide_the_others(home, paddlesrv):
    damaged = home / "cache" / "models" / "ResNet50_vd"
    damaged.mkdir(parents=True)
    (damaged / "spec.json").write_text("{")
    (damaged / "install.json").write_text(json.dumps({}))
    ended = paddlesrv("list")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == len(NAMES) + 1
    assert "warning: the records of ResNet50_vd are damaged" in ended.err
    assert "paddlesrv get ResNet50_vd --force" in ended.err


def test_looking_writes_nothing(home, paddlesrv):
    for command in (["list"], ["search", "ocr"], ["info", "ocr"], ["env"], ["version"]):
        assert paddlesrv(*command).code == 0
    assert not home.exists()
