"""How well the pipeline `ocr` reads generated pictures, spaces and line breaks counted."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tasks.ocr import OcrResult

pytestmark = pytest.mark.models

PICTURES = Path(__file__).parent.parent / "data" / "ocr"
LEAST_UPRIGHT = 0.97
LEAST_TURNED = 0.97


def kind(angle: float) -> str:
    if angle == 0:
        return "upright"
    return "turned by 90 or 180" if angle % 90 == 0 else "askew by up to 8"


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's distance."""
    above = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        line = [row]
        for column, right in enumerate(other, 1):
            line.append(min(line[-1] + 1, above[column] + 1, above[column - 1] + (left != right)))
        above = line
    return above[-1]


def test_reads_generated_pictures(
    loaded_models: dict[str, LoadedModel],
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = json.loads((PICTURES / "truth.json").read_text(encoding="utf-8"))
    items = [TaskInput("image", (PICTURES / entry["file"]).read_bytes()) for entry in truth]

    results = predict_in_process(loaded_models, "ocr", items)

    wrong: dict[str, int] = defaultdict(int)
    characters: dict[str, int] = defaultdict(int)
    misread = []
    for entry, result in zip(truth, results, strict=True):
        assert isinstance(result, OcrResult)
        distance = edit_distance(entry["text"], result.text)
        wrong[kind(entry["angle"])] += distance
        characters[kind(entry["angle"])] += len(entry["text"])
        if distance:
            misread.append(f"  {entry['file']}: {entry['text']!r} read as {result.text!r}")
    accuracy = {name: 1 - wrong[name] / characters[name] for name in characters}
    for name, share in accuracy.items():
        record_property(f"accuracy {name}", round(share, 4))
    with capsys.disabled():
        figures = "; ".join(
            f"{name} {accuracy[name]:.2%} of {characters[name]} characters" for name in accuracy
        )
        lines = [f"\nOCR of {len(truth)} pictures: {figures}", *misread]
        sys.stdout.write("\n".join(lines) + "\n")

    assert len(truth) >= 20
    assert accuracy["upright"] >= LEAST_UPRIGHT
    assert accuracy["askew by up to 8"] >= LEAST_TURNED
    assert accuracy["turned by 90 or 180"] >= LEAST_TURNED
