"""What networks answer, as the originals make results of it, beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import TaskOptions
from paddlesrv.tasks.image_classification import ImageClassification
from paddlesrv.tasks.image_segmentation import ImageSegmentation
from paddlesrv.tasks.object_detection import ObjectDetection, Sent
from paddlesrv.tasks.run_length import decode
from paddlesrv.zoo.catalogue import Catalogue
from tests.oracles.paddleclas import paddleclas
from tests.oracles.pictures import pictures
from tests.oracles.serving_app import readers

CASES = 40
TOLERANCE = 1e-3
"""Pixels: theirs are sums and differences of float64, ours float32 of up to 1300."""


@pytest.fixture(scope="module")
def theirs() -> Iterator[Any]:
    """Paddle Serving's module of post-processing."""
    with readers("image_reader") as modules:
        yield modules["image_reader"]


def detector(model: str, root: Path, **more: Any) -> ObjectDetection:
    entry = Catalogue.load().get(model)
    (root / "labels.txt").write_text("\n".join(f"class {i}" for i in range(80)))
    spec = ModelSpec(
        name=model,
        task=entry.task,
        format="paddle-program",
        inputs=(TensorSpec(name="image", dtype="float32", shape=(-1, 3, -1, -1), role="image"),),
        outputs=(TensorSpec(name="boxes", dtype="float32", shape=(-1, 6), role="boxes"),),
        parameters=entry.parameters,
        files={"labels": "labels.txt"},
        **more,
    )
    return ObjectDetection(spec, root)


def rows(seed: int, size: tuple[int, int]) -> np.ndarray:
    """What a detector answers: class, score, and a box within the picture; surest first."""
    random = np.random.default_rng(seed)
    count = seed % 7 * 3
    corners = random.random((count, 2, 2)).astype(np.float32)
    low, high = corners.min(axis=1), corners.max(axis=1)
    scores = np.sort(random.random(count).astype(np.float32))[::-1]
    sides = np.array([size[1], size[0]] * 2, np.float32)
    boxes = np.concatenate([low, high], axis=1) * sides
    return np.column_stack([random.integers(0, 80, count), scores, boxes]).astype(np.float32)


@pytest.mark.parametrize("seed", range(CASES))
def test_boxes_labels_and_scores_are_those_of_rcnn_postprocess(
    theirs: Any, seed: int, tmp_path: Path
) -> None:
    """Theirs are left, top, width and height, a pixel wider and higher than the network's."""
    size = (480 + seed, 640 - 3 * seed)
    found = rows(seed, size)
    task = detector("yolov3_darknet53_270e_coco", tmp_path)
    process = theirs.RCNNPostprocess(str(tmp_path / "labels.txt"), str(tmp_path))
    # With nothing found a network answers one row of one number, which is how they know.
    theirs_rows = found if len(found) else np.array([[-1.0]], np.float32)
    expected = process(
        {"image": "", "boxes": theirs_rows, "boxes.lod": [0, len(found)]}, visualize=False
    )
    ours = task.post(
        {"boxes": Tensor(found)}, Sent(size, (608, 608), (1.0, 1.0)), TaskOptions(threshold=0.0)
    )
    assert len(ours.boxes) == len(expected) == len(found)
    for one, other in zip(ours.boxes, expected, strict=True):
        assert one.index == other["category_id"]
        assert one.label == process.catid2name[other["category_id"]]
        assert one.score == pytest.approx(other["score"], abs=1e-6)
        x, y, width, height = other["bbox"]
        their_box = (x, y, x + width - 1, y + height - 1)
        np.testing.assert_allclose(one.box, their_box, atol=TOLERANCE)


@pytest.mark.parametrize("seed", range(CASES))
def test_what_is_shown_is_what_they_draw(theirs: Any, seed: int, tmp_path: Path) -> None:
    """They answer all boxes and draw those from a score of a half; so few are our answer."""
    size = (300, 400)
    found = rows(seed, size)
    task = detector("ppyolo_r50vd_dcn_1x_coco", tmp_path)
    ours = task.post({"boxes": Tensor(found)}, Sent(size, (608, 608), (1.0, 1.0)), TaskOptions())
    assert len(ours.boxes) == int((found[:, 1] >= 0.5).sum())


@pytest.mark.parametrize("seed", range(CASES))
def test_faces_are_those_of_blazeface_postprocess(theirs: Any, seed: int, tmp_path: Path) -> None:
    """Boxes of 0 to 1, some leading out of the picture, where both cut them off."""
    size = (333 + seed, 500)
    found = rows(seed, (1, 1))
    found[:, 2:] = found[:, 2:] * 1.4 - 0.2
    found[:, 0] = 0
    task = detector("blazeface", tmp_path)
    process = theirs.BlazeFacePostprocess(str(tmp_path / "labels.txt"), str(tmp_path))
    expected = process(
        {"image": "", "boxes": found if len(found) else np.array([[-1.0]], np.float32),
         "boxes.lod": [0, len(found)], "im_shape": [*size, 3]},
        visualize=False,
    )  # fmt: skip
    ours = task.post(
        {"boxes": Tensor(found)}, Sent(size, size, (1.0, 1.0)), TaskOptions(threshold=0.0)
    )
    # Of a face that lies outside of the picture wholly they keep a box of no area; ours do not.
    seen = [each for each in expected if each["bbox"][2] > 0 and each["bbox"][3] > 0]
    assert len(ours.boxes) == len(seen)
    for one, other in zip(ours.boxes, seen, strict=True):
        x, y, width, height = other["bbox"]
        assert one.score == pytest.approx(other["score"], abs=1e-6)
        np.testing.assert_allclose(one.box, (x, y, x + width, y + height), atol=TOLERANCE)


def test_masks_are_those_of_seg_postprocess(
    theirs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs enlarges the painted map by cubics, which makes colours that are no class at edges.

    Away from edges, at least four pixels of the network's 512 x 512, each pixel has the class
    that they paint.
    """
    entry = Catalogue.load().get("deeplabv3")
    spec = ModelSpec(
        name="deeplabv3",
        task=entry.task,
        format="paddle-program",
        inputs=(TensorSpec(name="image", dtype="float32", shape=(-1, 512, 512, 3), role="image"),),
        outputs=(TensorSpec(name="mask", dtype="float32", shape=(-1, 512, 512), role="mask"),),
        parameters=entry.parameters,
    )
    task = ImageSegmentation(spec, tmp_path)
    # It hands OpenCV a word where today's OpenCV takes pairs; the word means nothing.
    write = cv2.imwrite
    monkeypatch.setattr(theirs.cv2, "imwrite", lambda name, pixels, _=None: write(name, pixels))
    process = theirs.SegPostprocess(2)
    colours = np.array(theirs.generate_colormap(2))
    random = np.random.default_rng(5)
    compared = 0
    for number, picture in enumerate(pictures()):
        height, width = picture.shape[:2]
        classes = np.zeros((512, 512), np.uint8)
        for _ in range(number % 4):
            x, y = random.integers(0, 400, 2)
            cv2.rectangle(classes, (int(x), int(y)), (int(x) + 100, int(y) + 90), 1, -1)
        name = tmp_path / f"{number}.png"
        cv2.imwrite(str(name), picture)
        process({"filename": str(name), "mask": classes.astype(np.float32)})
        painted = cv2.imread(str(tmp_path / f"{number}_png_result.png"), cv2.IMREAD_COLOR)
        ours = task.post(
            {"mask": Tensor(classes[np.newaxis].astype(np.int64))}, (height, width), TaskOptions()
        )
        mask = decode(ours.mask)
        assert painted.shape[:2] == mask.shape == (height, width)
        inside = _away_from_edges(classes, (height, width))
        their_classes = (painted == colours[1]).all(axis=2)
        assert (mask[inside] == their_classes[inside]).all()
        compared += int(inside.any())
    assert compared >= 20


def _away_from_edges(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels of the picture around which the network answers one class alone."""
    kernel = np.ones((9, 9), np.uint8)
    same = cv2.erode(classes, kernel) == cv2.dilate(classes, kernel)
    height, width = size
    enlarged: np.ndarray = cv2.resize(
        same.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return enlarged.astype(bool)


def test_classes_are_those_of_paddleclas(tmp_path: Path) -> None:
    names = [f"name {i}" for i in range(1000)]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    (tmp_path / "map.txt").write_text("\n".join(f"{i} {name}" for i, name in enumerate(names)))
    entry = Catalogue.load().get("ResNet50_vd")
    spec = ModelSpec(
        name="classifier",
        task=entry.task,
        format="paddle-program",
        inputs=(TensorSpec(name="image", dtype="float32", shape=(-1, 3, 224, 224), role="image"),),
        outputs=(TensorSpec(name="scores", dtype="float32", shape=(-1, 1000), role="scores"),),
        parameters=entry.parameters,
        files={"labels": "labels.txt"},
    )
    task = ImageClassification(spec, tmp_path)
    random = np.random.default_rng(2)
    with paddleclas("postprocess") as theirs:
        top = theirs.Topk(topk=5, class_id_map_file=str(tmp_path / "map.txt"))
        for _ in range(CASES):
            scores = random.dirichlet(np.full(1000, 0.05)).astype(np.float32)
            ours = task.post({"scores": Tensor(scores[np.newaxis])}, None, TaskOptions()).classes
            (expected,) = top(scores[np.newaxis])
            assert [each.index for each in ours] == expected["class_ids"]
            assert [each.label for each in ours] == expected["label_names"]
            # Theirs are rounded to five places.
            told = [each.score for each in ours]
            np.testing.assert_allclose(told, expected["scores"], atol=1e-5)


def test_the_catalogue_asks_what_the_examples_draw() -> None:
    for entry in Catalogue.load().entries:
        if entry.task == "object-detection" and entry.collection == "paddle-serving-0.7":
            assert entry.parameters["draw_threshold"] == 0.5
            msgspec.json.encode(entry.parameters)
