"""Models with tasks, asked as Paddle Serving's web services were: the same in their words."""

from __future__ import annotations

import ast
import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from paddlesrv.zoo.catalogue import Catalogue
from tests.zoo.asking import ask, differences, result_of
from tests.zoo.conftest import Families, all_rows
from tests.zoo.row import Input, Row

ROWS = all_rows()
TABLE = pytest.mark.parametrize(("family", "row"), ROWS, ids=[row.model for _, row in ROWS])

Result = dict[str, Any]


def classes(results: list[Result]) -> dict[str, Any]:
    best = [result["classes"][0] for result in results]
    return {
        "label": [each["label"].replace(",", "") for each in best],
        "prob": [each["score"] for each in best],
    }


def objects(results: list[Result]) -> dict[str, Any]:
    found = []
    for each in (box for result in results for box in result["boxes"]):
        x1, y1, x2, y2 = each["box"]
        box = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
        found.append({"category_id": each["index"], "bbox": box, "score": each["score"]})
    return {"bbox_result": found}


WORDS: dict[str, Callable[[list[Result]], dict[str, Any]]] = {
    "image-classification": classes,
    "object-detection": objects,
    "ocr": lambda rs: {"res": [line["text"] for r in rs for line in r["lines"]]},
    "text-recognition": lambda rs: {"res": [r["text"] for r in rs]},
    "text-detection": lambda rs: {"dt_boxes": [b["box"] for r in rs for b in r["boxes"]]},
    "lexical-analysis": lambda rs: {"words": [r["words"] for r in rs]},
    "sentiment-analysis": lambda rs: {"class_probs": [list(r["scores"].values()) for r in rs]},
    "text-embedding": lambda rs: {"pooled_output": [r["embedding"] for r in rs]},
    "translation": lambda rs: {"finished_sequence": [[r["text"]] for r in rs]},
    "click-through-rate": lambda rs: {"prob": [[r["score"]] for r in rs]},
}


def told(model: str, results: list[Result]) -> dict[str, Any]:
    """What an example of Paddle Serving answers; without one, results are as they are."""
    task = Catalogue.load().resolve(model).entry.task
    return WORDS.get(task, lambda found: {"result": found})(results)


def value(given: Input) -> Any:
    return base64.b64encode(given).decode() if isinstance(given, bytes) else given


def read(key: str, text: str) -> Any:
    """Lists as Python writes them; results as JSON."""
    return msgspec.json.decode(text) if key == "result" else ast.literal_eval(text)


@TABLE
def test_a_batch_of_keys_is_answered_as_its_inputs_are(
    families: Families, family: str, row: Row
) -> None:
    server = families.server(family)
    # Of features, each key is one: a request is one row, by the names of the network's inputs.
    rows = [each for each in row.inputs if isinstance(each, dict) and "categorical" not in each]
    if rows:
        asked: list[Input] = list(rows[:1])
        pairs = {key: str(each) for key, each in rows[0].items()}
    else:
        asked = row.inputs[:2]
        pairs = {f"key_{number}": value(each) for number, each in enumerate(asked)}
    with server.client() as client:
        wanted = told(row.model, [result_of(ask(client, row.model, each)) for each in asked])
        body = {"key": list(pairs), "value": list(pairs.values())}
        answer = client.post(f"/{row.model}/prediction", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["err_no"], said["key"]) == (0, list(wanted))
        found = {k: read(k, text) for k, text in zip(said["key"], said["value"], strict=True)}
        assert differences(found, wanted, row.tolerance) is None


@TABLE
def test_samples_of_the_older_form_are_answered_as_its_inputs_are(
    families: Families, family: str, row: Row
) -> None:
    server = families.server(family)
    inputs = [given for given in row.inputs if not isinstance(given, list)][:2]
    samples = [each if isinstance(each, dict) else {"input": value(each)} for each in inputs]
    with server.client() as client:
        wanted = told(row.model, [result_of(ask(client, row.model, each)) for each in inputs])
        answer = client.post(f"/{row.model}/prediction", json={"feed": samples, "fetch": []})
        assert answer.status_code == 200, answer.text
        assert differences(answer.json()["result"], wanted, row.tolerance) is None
