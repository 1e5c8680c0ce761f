"""What a task found, in the words of Paddle Serving's examples, whose clients read them.

Source: PaddlePaddle/Serving v0.7.0, examples/Pipeline/*/*/*web_service.py and the WebServices of
examples/C++. Each task has one entry here. A request's inputs are answered together: a list has
one element for each (for boxes and lines: those of all of them, one after the other).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

OTHERS = "result"
"""The key of tasks that have no example there."""


def told(task: str, results: Sequence[Any]) -> dict[str, Any]:
    """Lists by key.

    Args:
        task: The task's name.
        results: What it answered, for each input.
    """
    write = _FORMS.get(task)
    return {OTHERS: msgspec.to_builtins(list(results))} if write is None else write(results)


def as_texts(answer: Mapping[str, Any]) -> dict[str, str]:
    """Lists as Python writes them, which is what pipelines answer; other results as JSON."""
    return {
        key: msgspec.json.encode(value).decode() if key == OTHERS else str(value)
        for key, value in answer.items()
    }


def _classes(results: Sequence[Any]) -> dict[str, Any]:
    best = [each.classes[0] for each in results]
    # Their lists of labels are read with every comma taken out.
    return {"label": [b.label.replace(",", "") for b in best], "prob": [b.score for b in best]}


def _objects(results: Sequence[Any]) -> dict[str, Any]:
    found = []
    for each in (box for result in results for box in result.boxes):
        left, top, right, bottom = each.box
        # Width and height as RCNNPostprocess counts pixels: both ends belong to the box.
        box = [left, top, right - left + 1, bottom - top + 1]
        found.append({"category_id": each.index, "bbox": box, "score": each.score})
    return {"bbox_result": found}


def _lines(results: Sequence[Any]) -> dict[str, Any]:
    return {"res": [line.text for result in results for line in result.lines]}


def _text_boxes(results: Sequence[Any]) -> dict[str, Any]:
    boxes = [each.box for result in results for each in result.boxes]
    return {"dt_boxes": [[list(point) for point in box] for box in boxes]}


_FORMS: dict[str, Callable[[Sequence[Any]], dict[str, Any]]] = {
    "image-classification": _classes,
    "object-detection": _objects,
    "ocr": _lines,
    "text-recognition": lambda results: {"res": [each.text for each in results]},
    "text-detection": _text_boxes,
    "lexical-analysis": lambda results: {"words": [each.words for each in results]},
    "sentiment-analysis": lambda results: {
        "class_probs": [list(each.scores.values()) for each in results]
    },
    "text-embedding": lambda results: {"pooled_output": [each.embedding for each in results]},
    "translation": lambda results: {"finished_sequence": [[each.text] for each in results]},
    "click-through-rate": lambda results: {"prob": [[each.score] for each in results]},
}
