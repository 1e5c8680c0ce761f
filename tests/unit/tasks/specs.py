"""Specs of small models, with their files written to a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddlesrv.models.spec import ModelSpec, TensorSpec


def image_spec(task: str, output: str, shape: tuple[int, ...], **rest: Any) -> ModelSpec:
    """A model with one picture in and one tensor out; tensors are found by role."""
    return ModelSpec(
        name="small",
        task=task,
        format="onnx",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3, -1, -1), role="image"),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=shape, role=output),),
        **rest,
    )


def detection_spec(**parameters: Any) -> ModelSpec:
    return image_spec("text-detection", "map", (-1, 1, -1, -1), parameters=parameters)


def orientation_spec(**parameters: Any) -> ModelSpec:
    return image_spec("text-line-orientation", "scores", (-1, 2), parameters=parameters)


def recognition_spec(
    root: Path, characters: str = "a\nb\n", classes: int = 4, **parameters: Any
) -> ModelSpec:
    """Classes: blank, a, b, space."""
    (root / "characters.txt").write_text(characters, encoding="utf-8", newline="")
    return image_spec(
        "text-recognition",
        "scores",
        (-1, -1, classes),
        parameters=parameters,
        files={"characters": "characters.txt"},
    )


def lexical_spec(root: Path, segmentation: str | None = None, **files: str) -> ModelSpec:
    """Ids: 0 unknown, 1 你, 2 好, 3 A, 4 你好. Tags: 0 n-B, 1 n-I, 2 v-B, 3 v-I, 4 O."""
    written = {
        "words": "0\tOOV\n1\t你\n2\t好\n3\tA\n4\t你好\n",
        "tags": "0\tn-B\n1\tn-I\n2\tv-B\n3\tv-I\n4\tO\n",
        "full_to_half": "Ａ\tA\n妳\t你\n",
        **files,
    }
    if segmentation is not None:
        written["segmentation"] = segmentation
    for role, text in written.items():
        (root / f"{role}.dic").write_text(text, encoding="utf-8", newline="")
    return ModelSpec(
        name="small-lac",
        task="lexical-analysis",
        format="paddle-program",
        inputs=(TensorSpec(name="w", dtype="int64", shape=(-1, 1), lod_level=1, role="words"),),
        outputs=(TensorSpec(name="t", dtype="int64", shape=(-1, 1), lod_level=1, role="tags"),),
        files={role: f"{role}.dic" for role in written},
    )
