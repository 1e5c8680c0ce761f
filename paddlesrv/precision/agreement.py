"""How far two forms of a model agree: by what its task answers, not by numbers in between.

`MEASURES` is the whole of the rules: per task what is compared, and the share of agreement below
which a form is not accepted. All are between 0 and 1; the two answers are to the same input, the
first is the one that is held to be right. An input on which there is nothing to agree about (no
box, no text) does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.precision.report import Agreement
from paddlesrv.tasks.run_length import RunLengths, decode

SURE = 0.5
"""Boxes with less are as often noise as objects; each sure one must be found again, sure or not."""
_WORST = 3

Comparison = Callable[[Any, Any], float | None]


class Measure(NamedTuple):
    """What is compared, and how much of it must agree."""

    name: str
    threshold: float
    compare: Comparison


def _top_1(one: Any, other: Any) -> float:
    return float(one.classes[0].index == other.classes[0].index)


def _label(one: Any, other: Any) -> float:
    return float(one.label == other.label)


def _angle(one: Any, other: Any) -> float:
    return float(one.angle == other.angle)


def _text(one: Any, other: Any) -> float | None:
    return float(one.text == other.text) if one.text or other.text else None


def _html(one: Any, other: Any) -> float:
    return float(one.html == other.html)


def _words(one: Any, other: Any) -> float | None:
    return float((one.words, one.tags) == (other.words, other.tags)) if one.words else None


def _lines(one: Any, other: Any) -> float | None:
    texts, others = (Counter(line.text for line in answer.lines) for answer in (one, other))
    most = max(texts.total(), others.total())
    return (texts & others).total() / most if most else None


def _closeness(one: Any, other: Any) -> float:
    return 1 - min(1.0, abs(float(one.score) - float(other.score)))


def _embedding(one: Any, other: Any) -> float:
    return cosine(np.asarray(one.embedding), np.asarray(other.embedding))


def _masks(one: Any, other: Any) -> float | None:
    return _mask_overlap(one.mask, other.mask)


def _mask_overlap(one: RunLengths, other: RunLengths) -> float | None:
    a, b = decode(one), decode(other)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else None


def _boxes(one: Any, other: Any) -> float | None:
    """The mean overlap of each sure box, of either, with the best one of its class in the other."""
    found = [
        max(
            (_overlap(box, twin) for twin in theirs.boxes if _class(twin) == _class(box)), default=0
        )
        for ours, theirs in ((one, other), (other, one))
        for box in ours.boxes
        if box.score >= SURE
    ]
    return float(np.mean(found)) if found else None


def _class(box: Any) -> int:
    return getattr(box, "index", 0)


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union of two boxes: [x1, y1, x2, y2], or convex quadrilaterals."""
    import cv2

    a, b = _corners(one.box), _corners(other.box)
    both, _ = cv2.intersectConvexConvex(a, b)
    union = cv2.contourArea(a) + cv2.contourArea(b) - both
    return float(both / union) if union > 0 else 0.0


def _corners(box: Sequence[Any]) -> Array:
    if isinstance(box[0], int | float):
        x1, y1, x2, y2 = box
        box = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    return np.asarray(box, dtype=np.float32)


MEASURES: Mapping[str, Measure] = {
    "image-classification": Measure("same top class", 0.95, _top_1),
    "object-detection": Measure("overlap of boxes", 0.85, _boxes),
    "text-detection": Measure("overlap of boxes", 0.85, _boxes),
    "text-recognition": Measure("same text", 0.95, _text),
    "text-line-orientation": Measure("same angle", 0.95, _angle),
    "ocr": Measure("same lines of text", 0.95, _lines),
    "image-segmentation": Measure("overlap of masks", 0.9, _masks),
    "text-embedding": Measure("cosine of embeddings", 0.98, _embedding),
    "sentiment-analysis": Measure("same label", 0.95, _label),
    "translation": Measure("same text", 0.9, _text),
    "table-structure": Measure("same table", 0.9, _html),
    "click-through-rate": Measure("closeness of scores", 0.98, _closeness),
    "lexical-analysis": Measure("same words", 0.95, _words),
}
"""Per task; every other model is measured by `RAW`."""
RAW = Measure("cosine of raw outputs", 0.99, lambda one, other: None)


def agreement(
    task: str,
    names: Sequence[str],
    right: Sequence[Any],
    found: Sequence[Any],
    raw: float,
) -> Agreement:
    """The agreement of two forms of a model.

    Args:
        task: The model's task.
        names: What the inputs are called.
        right: The task's answers with the first form; empty for a model without a task.
        found: Those with the second form.
        raw: The mean cosine of the raw outputs: for models without a task, and where no input has
            anything to agree about.
    """
    measure = MEASURES.get(task, RAW)
    values = [
        (name, value)
        for name, one, other in zip(names, right, found, strict=False)
        if (value := measure.compare(one, other)) is not None
    ]
    if not values:
        return Agreement(measure=RAW.name, value=raw, threshold=RAW.threshold)
    worst = sorted(values, key=lambda pair: pair[1])[:_WORST]
    return Agreement(
        measure=measure.name,
        value=float(np.mean([value for _, value in values])),
        threshold=measure.threshold,
        worst=tuple((name, round(value, 4)) for name, value in worst if value < 1),
    )


def cosine(one: Array, other: Array) -> float:
    """The cosine of two arrays as vectors; 0 where shapes differ or a number is not finite."""
    a, b = (np.asarray(array, dtype=np.float64).ravel() for array in (one, other))
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0:
        return float(not a.any() and not b.any())
    return float(a @ b) / lengths


def raw_cosine(right: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The mean cosine over the outputs of a network that are floating-point numbers."""
    values = [
        cosine(tensor.data, found[name].data)
        for name, tensor in right.items()
        if tensor.data.dtype.kind == "f"
    ]
    return float(np.mean(values)) if values else 1.0
