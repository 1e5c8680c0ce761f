"""The class map of a segmenter, over HTTP and on the command line; and of models that have none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlesrv.tasks.run_length import RunLengths, decode
from tests.cli.program import run
from tests.zoo.conftest import Families, rows

PICTURE = rows("segmentation")[0].inputs[1]


def _classes(file: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(file))
    assert (picture.format, picture.mode) == ("PNG", "P")
    return np.asarray(picture)


@pytest.mark.family("segmentation")
def test_a_class_map_says_over_http_what_the_answer_says(families: Families) -> None:
    server = families.server("segmentation")
    with server.client() as client:
        told = client.post("/predict/unet", content=PICTURE).json()["results"][0]["mask"]
        answer = client.post("/predict/unet?map=1", content=PICTURE)
        both = client.post("/predict/unet?map=1&draw=1", content=PICTURE)
        parameters = client.get("/openapi.json").json()["paths"]["/predict/unet"]["post"]
    assert answer.headers["content-type"] == "image/png"
    found = _classes(answer.content)
    assert set(np.unique(found)) == {0, 1}
    assert ((found == 1) == decode(RunLengths(tuple(told["size"]), told["counts"]))).all()
    assert both.status_code == 400
    assert "map" in [each["name"] for each in parameters["parameters"]]


@pytest.mark.family("segmentation")
def test_the_command_line_writes_the_same_class_map(families: Families, tmp_path: Path) -> None:
    server = families.server("segmentation")
    (tmp_path / "picture.png").write_bytes(PICTURE)
    words = ("predict", "unet", str(tmp_path / "picture.png"), "--map")
    for place, more in (("here", ()), ("there", ("--url", server.url))):
        ended = run(families.home, *words, str(tmp_path / place), *more)
        assert ended.returncode == 0, ended.stderr
    here, there = ((tmp_path / place).read_bytes() for place in ("here", "there"))
    assert (_classes(here) == _classes(there)).all()


@pytest.mark.family("classification")
def test_a_task_without_a_class_map_says_which_have_one(families: Families, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(PICTURE)
    picture, target = tmp_path / "picture.png", tmp_path / "map.png"
    server = families.server("classification")
    with server.client() as client:
        answer = client.post("/predict/MobileNetV1?map=1", content=PICTURE)
    assert answer.status_code == 400
    assert "tasks with one: image-segmentation" in answer.json()["error"]
    for more in ((), ("--url", server.url)):
        ended = run(
            families.home, "predict", "MobileNetV1", str(picture), "--map", str(target), *more
        )
        assert ended.returncode == 2
        assert "image-segmentation" in ended.stderr
    assert not target.exists()
