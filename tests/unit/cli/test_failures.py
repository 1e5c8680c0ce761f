"""How commands fail: the form, the exit code, and no traceback unless asked for."""

import pytest

from paddlesrv.cli import failure, models
from paddlesrv.cli.output import Output
from paddlesrv.errors import PaddlesrvError


def broken(*_):
    raise RuntimeError("the disk is\non fire")


@pytest.fixture
def defect(monkeypatch):
    """A mistake in the program itself."""
    monkeypatch.setattr(models, "_rows", broken)


def test_an_error_has_aligned_context_an_empty_line_and_hints(capsys):
    error = PaddlesrvError(
        "it broke",
        context={"found": "a", "x": "b", "https://example.org/a/long/place": "c"},
        hints=["do this", "or that"],
    )
    assert failure.show(error, Output(), (), debug=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: it broke",
        "  found   a",
        "  x       b",
        "  https://example.org/a/long/place   c",
        "",
        "hint: do this",
        "hint: or that",
    ]


def test_with_json_an_error_is_a_document_on_stdout(paddlesrv):
    ended = paddlesrv("info", "ressnet50", "--json")
    assert (ended.code, ended.err) == (3, "")
    error = ended.document["error"]
    assert error["code"] == "not-found"
    assert error["message"] == "no model in the catalogue is called 'ressnet50'"
    assert error["hint"].startswith("did you mean")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["list", "--frobnicate"],
        ["list", "extra"],
        ["info"],
        ["serve", "ocr", "--port", "70000"],
        ["serve", "ocr", "--port", "x"],
        ["serve", "ocr", "--precision", "fp8"],
        ["serve", "ocr", "--timeout", "nan"],
        ["serve", "ocr", "--max-delay", "-1"],
        ["predict", "ocr"],
        ["doctor", "--group", "weather"],
        ["list", "--color", "pink"],
        ["get"],
        ["get", "--all", "ocr"],
        ["get", "ocr", "lac", "--from", "x"],
        ["serve"],
        ["serve", "ocr", "--config", "x.yaml"],
        ["serve", "--config", "x.yaml"],
        ["serve", "ocr", "--cpu", "--gpu", "0"],
        ["serve", "ocr", "--gpu", "first"],
        ["serve", "ocr", "--gpu", "0,1"],
        ["serve", "ocr", "PP-OCRv4"],
        ["config", "gen", "ocr", "ocr"],
        ["predict", "ocr", "-", "-"],
        ["predict", "ocr", "a.png", "b.png", "--draw", "c.png"],
        ["predict", "ocr", "a.png", "--wait", "3"],
        ["predict", "ocr", "a.png", "--url", "ftp://x"],
        ["predict", "ocr", "a.png", "--url", "http://127.0.0.1:1", "--cpu"],
    ],
)
@pytest.mark.parametrize("form", ["human", "json"])
def test_a_command_line_that_cannot_be_meant_so_exits_2(arguments, form, paddlesrv):
    if form == "json":
        ended = paddlesrv(*arguments, "--json")
        assert ended.document["error"]["code"] == "usage"
        assert ended.document["error"]["message"]
    else:
        ended = paddlesrv(*arguments)
        assert ended.err.startswith("error: ")
        assert ended.out == ""
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_a_mistyped_command_gets_a_suggestion(paddlesrv):
    ended = paddlesrv("lst")
    assert ended.code == 2
    assert "'list'" in ended.err
    assert "hint: see: paddlesrv --help" in ended.err


def test_a_defect_is_one_line_and_a_way_to_see_more(defect, paddlesrv):
    ended = paddlesrv("list", "--task", "image segmentation")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "error: unexpected RuntimeError: the disk is on fire",
        "",
        "hint: see where: paddlesrv list --task 'image segmentation' -vv",
    ]


@pytest.mark.parametrize("how", ["flag", "flag before", "variable"])
def test_a_traceback_comes_only_when_asked_for(how, defect, paddlesrv, monkeypatch):
    if how == "variable":
        monkeypatch.setenv("PADDLESRV_DEBUG", "1")
    arguments = {"flag": ["list", "-vv"], "flag before": ["-v", "list", "-v"]}
    ended = paddlesrv(*arguments.get(how, ["list"]))
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "in broken" in ended.err
    assert "error: unexpected RuntimeError" in ended.err


def test_one_v_is_no_wish_for_a_traceback(defect, paddlesrv):
    assert "Traceback" not in paddlesrv("list", "-v").err


def test_a_file_that_cannot_be_written_is_named(paddlesrv):
    ended = paddlesrv("config", "gen", "ocr", "-o", "no/such/place.yaml")
    assert ended.code == 1
    assert "No such file or directory: no/such/place.yaml" in ended.err


def test_interrupted_exits_130_with_a_word(paddlesrv, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "_rows", interrupt)
    ended = paddlesrv("list")
    assert ended.code == 130
    assert ended.err.strip() == "interrupted"


def test_a_variable_that_is_no_switch_is_named(paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_OFFLINE", "maybe")
    ended = paddlesrv("list")
    assert ended.code == 2
    assert "error: PADDLESRV_OFFLINE is 'maybe', not a switch" in ended.err
