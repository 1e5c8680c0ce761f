"""What INPUT means, and how each task's result looks to a person."""

import io
import json

import pytest

from paddlesrv.cli import inputs, results
from paddlesrv.errors import InvalidInput, UsageError
from paddlesrv.tasks import TASKS

PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.mark.parametrize("task", list(TASKS))
def test_a_task_is_given_what_it_accepts(task):
    from importlib import import_module

    module, name = TASKS[task]
    assert inputs.kind_of(task) in getattr(import_module(module), name).accepts


def test_a_model_of_tensors_cannot_be_asked():
    with pytest.raises(UsageError, match="takes tensors"):
        inputs.kind_of("tensors")


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (PNG, "image", ("image", PNG)),
        (b"anything", "image", ("image", b"anything")),
        ("百度\n".encode(), "text", ("text", "百度")),
        (b"[1, 2]", "features", ("features", [1, 2])),
        (b'{"a": 1}', "features", ("features", {"a": 1})),
        (PNG, None, ("image", PNG)),
        (b"\xff\xd8\xff\xe0", None, ("image", b"\xff\xd8\xff\xe0")),
        ("a café".encode(), None, ("text", "a café")),
        (b' {"a": 1}', None, ("features", {"a": 1})),
    ],
)
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_file_or_stdin_is_read_as_what_the_model_takes(
    content, kind, expected, way, tmp_path, monkeypatch
):
    path = tmp_path / "input"
    path.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    item = inputs.read(str(path) if way == "file" else "-", kind, as_text=False)
    assert (item.kind, item.data) == expected


def test_a_word_that_is_no_file_is_a_text_for_a_text_model():
    assert inputs.read("百度" * 1000, "text", as_text=False).data == "百度" * 1000
    assert inputs.read("a\0b", "text", as_text=False).data == "a\0b"
    assert inputs.read("[1]", "features", as_text=False).data == [1]


def test_text_flag_makes_any_word_a_text(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    assert inputs.read(str(path), "image", as_text=True).data == str(path)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"\xff\xfe", "text", "is not a text in UTF-8"),
        (b"{", "features", "is not JSON"),
        (b"7", "features", "holds no features"),
    ],
)
def test_content_that_is_not_what_the_model_takes_is_refused(content, kind, message, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        inputs.read(str(path), kind, as_text=False)


@pytest.mark.parametrize("kind", ["image", None])
def test_a_missing_file_is_named(kind):
    with pytest.raises(InvalidInput, match=r"nothing\.png is not a file"):
        inputs.read("nothing.png", kind, as_text=False)


@pytest.mark.parametrize(
    ("task", "result", "expected"),
    [
        ("image-classification", {"classes": [{"label": "cat", "index": 1, "score": 0.5}]},
         ["0.5000  cat"]),
        ("object-detection",
         {"boxes": [{"label": "dog", "index": 2, "score": 0.75, "box": [1.2, 2, 3, 4]}]},
         ["0.7500  dog  1, 2, 3, 4"]),
        ("object-detection", {"boxes": []}, ["nothing found"]),
        ("text-detection", {"boxes": [{"score": 0.9, "box": [[0, 0], [9, 0], [9, 5], [0, 5]]}]},
         ["0.9000  (0, 0) (9, 0) (9, 5) (0, 5)"]),
        ("text-recognition", {"text": "百度", "score": 0.5}, ["0.5000  百度"]),
        ("ocr", {"text": "a\nb", "lines": [{"text": "a"}, {"text": "b"}]}, ["a", "b"]),
        ("ocr", {"text": "", "lines": []}, ["no text found"]),
        ("image-segmentation", {"classes": [{"label": "sky", "index": 0, "share": 0.25}]},
         [" 25.00%  sky"]),
        ("lexical-analysis", {"words": ["百度", "是"], "tags": ["ORG", "v"]}, ["百度/ORG 是/v"]),
        ("sentiment-analysis", {"label": "positive", "score": 0.5, "scores": {}},
         ["0.5000  positive"]),
        ("text-embedding", {"embedding": [0.5, -1.0]}, ["0.5 -1"]),
        ("translation", {"text": "hello", "candidates": []}, ["hello"]),
        ("click-through-rate", {"score": 0.125}, ["0.125000"]),
        ("table-structure", {"html": "<表>"}, ['{"html": "<表>"}']),
    ],
)  # fmt: skip
def test_results_for_people(task, result, expected):
    assert results.lines(task, json.loads(json.dumps(result))) == expected
