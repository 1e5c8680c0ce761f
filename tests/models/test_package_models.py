"""Models with trained weights out of packages: from their name to the right answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.predict import LoadedModel, predict_in_process
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tasks.images import decode, encode_png
from tests.packages import photograph
from tests.real_models import install

pytestmark = pytest.mark.models

Ask = Callable[[str, list[TaskInput]], list[Any]]


@pytest.fixture(scope="module")
def ask(model_home: Path) -> Ask:
    """The answers of a model, which is got and loaded when it is first asked."""
    loaded: dict[str, LoadedModel] = {}

    def answers(name: str, items: list[TaskInput]) -> list[Any]:
        if name not in loaded:
            (model,) = install(model_home, [name])
            options = EngineOptions(
                engine="onnxruntime" if model.spec.format == "onnx" else "paddle"
            )
            engine = load_engine(model.spec, model.directory, options)
            loaded[name] = LoadedModel(model.spec, model.directory, engine)
        results = predict_in_process({name: loaded[name]}, name, items)
        return [msgspec.to_builtins(result) for result in results]

    return answers


def pictures(*names: str) -> list[TaskInput]:
    return [TaskInput("image", photograph(name)) for name in names]


@pytest.mark.parametrize("model", ["mobilenet_v2_torchvision", "efficientnet_lite0"])
def test_photographs_are_called_what_they_show(ask: Ask, model: str) -> None:
    cat, cup, palace = ask(model, pictures("chelsea.png", "coffee.png", "china.jpg"))
    assert {each["index"] for each in cat["classes"][:3]} <= {281, 282, 285, 287}
    assert cup["classes"][0]["label"] == "espresso"
    assert cup["classes"][0]["score"] > 0.8
    assert palace["classes"][0]["label"] == "palace"


def test_the_scores_of_mobilenet_v2_are_those_that_are_known(ask: Ask) -> None:
    (cat,) = ask("mobilenet_v2_torchvision", pictures("chelsea.png"))
    scores = {each["index"]: each["score"] for each in cat["classes"]}
    assert scores[285] == pytest.approx(0.714, abs=0.01)
    assert scores[282] == pytest.approx(0.146, abs=0.01)


def test_pages_are_seen_to_be_turned(ask: Ask) -> None:
    page = decode(photograph("page.png"))
    turns = (None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)
    turned = [page if turn is None else cv2.rotate(page, turn) for turn in turns]
    items = [TaskInput("image", encode_png(np.ascontiguousarray(each))) for each in turned]
    found = [answer["classes"][0] for answer in ask("page_orientation", items)]
    assert [each["label"] for each in found] == ["0", "90", "180", "270"]
    assert all(each["score"] > 0.9 for each in found)


def test_the_astronauts_face_is_found_and_none_in_a_cup(ask: Ask) -> None:
    astronaut, cup = ask("ssd_mobilenet_v1_face", pictures("astronaut.png", "coffee.png"))
    (face,) = astronaut["boxes"]
    assert face["label"] == "face"
    assert face["score"] == pytest.approx(0.965, abs=0.01)
    assert face["box"] == pytest.approx([181, 73, 264, 175], abs=3)
    assert cup["boxes"] == []


def test_the_astronaut_takes_up_half_of_her_picture(ask: Ask) -> None:
    (answer,) = ask("selfie_segmentation", pictures("astronaut.png"))
    shares = {each["label"]: each["share"] for each in answer["classes"]}
    assert shares["person"] == pytest.approx(0.545, abs=0.01)
    assert sum(answer["mask"]["counts"]) == 512 * 512


def test_sentences_of_one_meaning_lie_close_together(ask: Ask) -> None:
    texts = ["A man is eating food.", "Someone is having a meal.", "The stock market fell."]
    one, same, other = (
        np.array(answer["embedding"])
        for answer in ask("all-MiniLM-L6-v2", [TaskInput("text", text) for text in texts])
    )
    assert one @ same == pytest.approx(0.689, abs=0.005)
    assert abs(one @ other) < 0.1


def test_the_parts_of_a_page_are_found(ask: Ask) -> None:
    page = np.full((800, 608, 3), 255, np.uint8)
    cv2.rectangle(page, (60, 420), (540, 700), (60, 60, 60), 2)
    for place in range(5):
        cv2.line(page, (60, 420 + 70 * place), (540, 420 + 70 * place), (60, 60, 60), 2)
        cv2.line(page, (60 + 120 * place, 420), (60 + 120 * place, 700), (60, 60, 60), 2)
    for row in range(12):
        cv2.putText(
            page, "words in a long line of plain text", (60, 60 + 26 * row),
            cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2,
        )  # fmt: skip
    (answer,) = ask("picodet_layout_cdla", [TaskInput("image", encode_png(page))])
    assert {each["label"] for each in answer["boxes"]} >= {"table"}
