"""One module per task: request -> tensors, tensors -> result, result -> picture.

`TASKS` says where each task lives; a task's module, and with it OpenCV and Pillow, is imported
when a task is made, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddlesrv.models.spec import ModelSpec
    from paddlesrv.tasks.base import Task

TASKS: Mapping[str, tuple[str, str]] = {
    "image-classification": ("paddlesrv.tasks.image_classification", "ImageClassification"),
    "image-segmentation": ("paddlesrv.tasks.image_segmentation", "ImageSegmentation"),
    "text-detection": ("paddlesrv.tasks.text_detection", "TextDetection"),
    "text-line-orientation": ("paddlesrv.tasks.text_orientation", "TextOrientation"),
    "text-recognition": ("paddlesrv.tasks.text_recognition", "TextRecognition"),
    "ocr": ("paddlesrv.tasks.ocr", "Ocr"),
    "text-embedding": ("paddlesrv.tasks.text_embedding", "TextEmbedding"),
    "sentiment-analysis": ("paddlesrv.tasks.sentiment_analysis", "SentimentAnalysis"),
    "object-detection": ("paddlesrv.tasks.object_detection", "ObjectDetection"),
    "translation": ("paddlesrv.tasks.translation", "Translation"),
    "table-structure": ("paddlesrv.tasks.table_structure", "TableStructure"),
    "click-through-rate": (
        "paddlesrv.tasks.click_through_rate",
        "ClickThroughRate",
    ),
    "lexical-analysis": ("paddlesrv.tasks.lexical_analysis", "LexicalAnalysis"),
}
"""Task name -> its module and class."""


def make_task(
    spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
) -> Task | None:
    """The task of a model; None if nothing is known of what its tensors mean.

    Args:
        spec: The model.
        root: Its directory; `spec.files` are relative to it.
        components: For a pipeline, the tasks of its component models, by role.

    Raises:
        IntegrityError: a file that the task needs is missing or does not fit the network.
        UsageError: the model's parameters are not those of its task.
    """
    if spec.task not in TASKS:
        return None
    kind = task_class(spec.task)
    return kind(spec, root, components) if kind.understands(spec) else None


def tasks_with_class_maps() -> list[str]:
    """The tasks whose answers say of each pixel what it is."""
    from paddlesrv.tasks.base import Task

    return [task for task in TASKS if task_class(task).class_map is not Task.class_map]


def task_class(task: str) -> type[Task]:
    """The class of a task in `TASKS`; its module is imported now."""
    module, name = TASKS[task]
    kind: type[Task] = getattr(import_module(module), name)
    return kind
