"""SLANet plus with its trained weights, on tables that are drawn here."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.predict import LoadedModel, make_tasks, predict_in_process
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tasks.images import encode_png
from tests.real_models import install

pytestmark = pytest.mark.models

WORDS = [["Name", "Qty", "Price"], ["Apple", "3", "1.20"], ["Pear", "5", "0.80"],
         ["Plum", "9", "2.50"]]  # fmt: skip


def table(rows: int, columns: int) -> np.ndarray:
    """A grid with a word in each cell, BGR."""
    width, height = 160 * columns + 20, 55 * rows + 20
    pixels = np.full((height, width, 3), 255, np.uint8)
    for row in range(rows + 1):
        cv2.line(pixels, (10, 10 + 55 * row), (width - 10, 10 + 55 * row), (0, 0, 0), 2)
    for column in range(columns + 1):
        cv2.line(pixels, (10 + 160 * column, 10), (10 + 160 * column, height - 10), (0, 0, 0), 2)
    for row in range(rows):
        for column in range(columns):
            cv2.putText(
                pixels, WORDS[row][column], (30 + 160 * column, 45 + 55 * row),
                cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2,
            )  # fmt: skip
    return pixels


@pytest.fixture(scope="module")
def model(model_home: Path) -> LoadedModel:
    (found,) = install(model_home, ["slanet_plus"])
    engine = load_engine(found.spec, found.directory, EngineOptions())
    return LoadedModel(found.spec, found.directory, engine)


@pytest.mark.parametrize(("rows", "columns"), [(4, 3), (2, 3)])
def test_rows_and_cells_are_found_where_they_are(
    model: LoadedModel, rows: int, columns: int
) -> None:
    item = TaskInput("image", encode_png(table(rows, columns)))
    (result,) = predict_in_process({"slanet_plus": model}, "slanet_plus", [item])
    answer = msgspec.to_builtins(result)
    html = answer["html"]
    assert html.startswith("<table>")
    assert html.endswith("</table>")
    assert html.count("<tr>") == html.count("</tr>") == rows
    assert html.count("</td>") == len(answer["cells"]) == rows * columns
    assert answer["score"] > 0.8
    for place, cell in enumerate(answer["cells"]):
        row, column = divmod(place, columns)
        x, y = np.mean(cell["box"], axis=0)
        assert 10 + 160 * column < x < 170 + 160 * column
        assert 10 + 55 * row < y < 65 + 55 * row


def test_its_answer_can_be_drawn_and_nothing_is_a_valid_answer(model: LoadedModel) -> None:
    task = make_tasks({"slanet_plus": model})["slanet_plus"]
    pictures = [table(2, 3), np.full((1, 1, 3), 255, np.uint8), np.zeros((10, 3000, 3), np.uint8)]
    items = [TaskInput("image", encode_png(each)) for each in pictures]
    results = predict_in_process({"slanet_plus": model}, "slanet_plus", items)
    for picture, result in zip(pictures, results, strict=True):
        painted = task.draw(picture, result)
        assert painted is not None
        assert painted.shape == picture.shape
