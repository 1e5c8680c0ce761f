"""The whole way with real models: get, serve, predict, by name."""

import json
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.server.process import serve

pytestmark = pytest.mark.models

PICTURES = Path(__file__).parent.parent / "data" / "ocr"
PHONE, EMAIL = str(PICTURES / "phone.png"), str(PICTURES / "email.png")
SENTENCE = "百度是一家高科技公司"


@pytest.fixture(scope="module")
def server(model_home):
    """A server of both models."""
    with serve("ocr", "LAC_2.1", "--threads", "1", home=model_home) as server:
        yield server


def test_the_summary_says_what_to_try(server):
    text = "".join(server.output)
    assert "         POST /predict/ocr · docs /docs · metrics /metrics\n" in text
    assert f"try: paddlesrv predict ocr picture.png --url {server.url}" in text


def test_a_picture_is_read_alike_here_and_by_a_server(server, model_home):
    here = run(model_home, "predict", "ocr", PHONE)
    there = run(model_home, "predict", "PP-OCRv4", PHONE, "--url", server.url, "--wait", "5")
    assert here.returncode == there.returncode == 0, here.stderr + there.stderr
    assert here.stdout == there.stdout
    assert "4008123123" in here.stdout


@pytest.mark.parametrize("where", ["here", "there"])
def test_one_bad_input_does_not_lose_the_others(where, server, model_home):
    url = ["--url", server.url] if where == "there" else []
    ended = run(model_home, "predict", "ocr", PHONE, "nothing.png", EMAIL, "--json", *url)
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert (document["schema"], document["model"], document["task"]) == (1, "ocr", "ocr")
    first, second, third = document["results"]
    assert "4008123123" in first["text"]
    assert second["error"]["code"] == "invalid-input"
    assert "support@example.com" in third["text"]
    assert set(document["timing_ms"]) == {"queue", "compute", "total"}
    assert "nothing.png is not a file" in ended.stderr


def test_several_inputs_are_told_apart(server, model_home):
    ended = run(model_home, "predict", "ocr", PHONE, EMAIL, "--url", server.url)
    lines = ended.stdout.splitlines()
    assert lines[0] == f"{PHONE}:"
    assert f"{EMAIL}:" in lines[1:]


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_text_is_cut_into_words_and_tags(where, server, model_home):
    url = ["--url", server.url] if where == "there" else []
    ended = run(model_home, "predict", "LAC_2.1", SENTENCE, *url)
    assert ended.returncode == 0, ended.stderr
    pairs = [pair.rpartition("/") for pair in ended.stdout.split()]
    assert "".join(word for word, _, _ in pairs) == SENTENCE
    assert all(tag for _, _, tag in pairs)


def test_stdin_is_read_as_what_the_model_takes(server, model_home):
    picture = Path(PHONE).read_bytes()
    ended = run(model_home, "predict", "ocr", "-", "--url", server.url, stdin=picture)
    assert "4008123123" in ended.stdout
    ended = run(model_home, "predict", "LAC_2.1", "-", "--url", server.url, stdin=SENTENCE.encode())
    assert ended.stdout.replace("/", "").startswith("百度")


@pytest.mark.parametrize("where", ["here", "there"])
def test_the_result_is_painted_on_the_picture(where, server, model_home, tmp_path):
    import cv2

    url = ["--url", server.url] if where == "there" else []
    target = tmp_path / "painted.png"
    ended = run(model_home, "predict", "ocr", PHONE, "--draw", str(target), *url)
    assert ended.returncode == 0, ended.stderr
    assert f"painted {target}" in ended.stderr
    painted, original = cv2.imread(str(target)), cv2.imread(PHONE)
    assert painted.shape[0] >= original.shape[0]
    assert painted.shape != original.shape or (painted != original).any()


def test_info_and_list_show_what_is_here(model_home):
    record = json.loads(run(model_home, "info", "LAC_2.1", "--json").stdout)
    assert Path(record["installed"]["path"]).is_dir()
    assert record["installed"]["spec"]["inputs"]
    human = run(model_home, "info", "LAC_2.1").stdout
    assert record["installed"]["path"] in human
    names = run(model_home, "list", "--installed", "-q").stdout.split()
    assert {"ocr", "LAC_2.1"} <= set(names)


def test_getting_what_is_here_costs_nothing_and_says_where_it_is(model_home):
    ended = run(model_home, "get", "ocr", "--offline")
    assert ended.returncode == 0
    paths = [line.removeprefix("ready ") for line in ended.stdout.splitlines()]
    assert paths
    assert all(Path(path).exists() for path in paths)
    document = json.loads(run(model_home, "get", "ocr", "--offline", "--json").stdout)
    assert [model["path"] for model in document["models"]] == paths
    plan = json.loads(run(model_home, "get", "ocr", "--dry-run", "--json").stdout)
    assert all(model["installed"] for model in plan["models"])
