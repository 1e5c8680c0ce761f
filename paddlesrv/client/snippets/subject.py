"""What a model is asked with, as far as can be known without asking its server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paddlesrv.errors import NotFound
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.locate import find_local, locate, read_directory
from paddlesrv.server.records import ServerRecord
from paddlesrv.tasks import TASKS, task_class
from paddlesrv.zoo.names import as_name

if TYPE_CHECKING:
    from paddlesrv.tasks.base import InputKind, Task
    from paddlesrv.zoo.catalogue import Catalogue
    from paddlesrv.zoo.entries import Entry, TensorHint
    from paddlesrv.zoo.store import Store


@dataclass(frozen=True)
class Subject:
    """A model as whoever asks it sees it.

    `task` is None where only tensors are served. A pipeline has no `inputs`; they are None where
    they are not known before the model is here.
    """

    name: str
    task: str | None
    inputs: tuple[TensorSpec, ...] | None
    outputs: tuple[TensorSpec, ...] = ()
    parameters: dict[str, Any] | None = None

    @property
    def kind(self) -> InputKind | None:
        """What its task takes; None without a task."""
        return task_class(self.task).accepts[0] if self.task is not None else None


def find(
    asked: str, catalogue: Catalogue, store: Store, running: Sequence[ServerRecord] = ()
) -> Subject:
    """The model of that name: installed, own, a directory, running, or only in the catalogue.

    Raises:
        NotFound: there is none.
        IntegrityError: its directory holds no model that can be read.
    """
    try:
        located = locate([ModelConfig(name=asked)], catalogue, store)
    except NotFound:
        # One that is served by its path is known by the path's last part.
        for record in running:
            for directory in record.directories:
                if asked in record.models and as_name(directory.name) == asked:
                    return of_spec(read_directory(directory, asked))
        raise
    (model,) = located
    if model.entry is not None and store.installed(model.entry.name) is None:
        return of_entry(model.entry)
    return of_spec(find_local(located, catalogue, store, model.config.name).spec)


def of_spec(spec: ModelSpec) -> Subject:
    """A model that is here."""
    understood = spec.task in TASKS and task_class(spec.task).understands(spec)
    return Subject(
        spec.name,
        spec.task if understood else None,
        spec.inputs,
        spec.outputs,
        spec.parameters,
    )


def of_entry(entry: Entry) -> Subject:
    """A model that is only in the catalogue."""
    task = entry.task if entry.task in TASKS else None
    kind = task_class(task) if task is not None else None
    inputs = [_hinted(hint, kind) for hint in entry.inputs]
    outputs = [_hinted(hint, kind) for hint in entry.outputs]
    known = entry.is_pipeline or (inputs and all(inputs))
    return Subject(
        entry.name,
        task,
        tuple(tensor for tensor in inputs if tensor is not None) if known else None,
        tuple(tensor for tensor in outputs if tensor is not None) if all(outputs) else (),
        entry.parameters,
    )


def _hinted(hint: TensorHint, kind: type[Task] | None) -> TensorSpec | None:
    """A tensor by what the catalogue says; None if that is not enough to send it."""
    wanted = (*kind.inputs, *kind.outputs) if kind is not None else ()
    dtype = hint.dtype or next((w.dtype for w in wanted if w.role == hint.role), None)
    if hint.name is None or dtype is None or hint.shape is None or hint.optional:
        return None
    return TensorSpec(
        name=hint.name,
        dtype=dtype,
        shape=hint.shape,
        lod_level=hint.lod_level or 0,
        role=hint.role,
    )
