"""A result of a task as lines for a person; the JSON says the same for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Result = dict[str, Any]


def lines(task: str, result: Result) -> list[str]:
    """The lines; of a task that is not known here, its JSON."""
    known = _FORMS.get(task)
    return known(result) if known else [json.dumps(result, ensure_ascii=False)]


def _classes(result: Result) -> list[str]:
    return [f"{entry['score']:.4f}  {entry['label']}" for entry in result["classes"]]


def _boxes(result: Result) -> list[str]:
    found = [
        f"{entry['score']:.4f}  {entry['label']}  {_numbers(entry['box'])}"
        for entry in result["boxes"]
    ]
    return found or ["nothing found"]


def _text_boxes(result: Result) -> list[str]:
    found = [
        f"{entry['score']:.4f}  " + " ".join(f"({_numbers(point)})" for point in entry["box"])
        for entry in result["boxes"]
    ]
    return found or ["no text found"]


def _ocr(result: Result) -> list[str]:
    return [line["text"] for line in result["lines"]] or ["no text found"]


def _segments(result: Result) -> list[str]:
    return [f"{entry['share']:7.2%}  {entry['label']}" for entry in result["classes"]]


def _words(result: Result) -> list[str]:
    pairs = zip(result["words"], result["tags"], strict=True)
    return [" ".join(f"{word}/{tag}" for word, tag in pairs)]


def _sentiment(result: Result) -> list[str]:
    return [f"{result['score']:.4f}  {result['label']}"]


def _embedding(result: Result) -> list[str]:
    return [" ".join(f"{value:g}" for value in result["embedding"])]


def _scored_text(result: Result) -> list[str]:
    return [f"{result['score']:.4f}  {result['text']}"]


def _text(result: Result) -> list[str]:
    return [str(result["text"])]


def _score(result: Result) -> list[str]:
    return [f"{result['score']:.6f}"]


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


_FORMS: dict[str, Callable[[Result], list[str]]] = {
    "image-classification": _classes,
    "text-line-orientation": _classes,
    "object-detection": _boxes,
    "text-detection": _text_boxes,
    "text-recognition": _scored_text,
    "ocr": _ocr,
    "image-segmentation": _segments,
    "lexical-analysis": _words,
    "sentiment-analysis": _sentiment,
    "text-embedding": _embedding,
    "translation": _text,
    "click-through-rate": _score,
}
