"""What a task reads once, when it is made: its parameters and the files beside the model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from paddlesrv.errors import IntegrityError, InvalidInput, UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.tasks.base import Task, TaskInput

P = TypeVar("P")
C = TypeVar("C", bound=Task)


def read_parameters(spec: ModelSpec, kind: type[P]) -> P:
    """The model's parameters as the struct that its task defines; what is absent has its default.

    Raises:
        UsageError: a parameter is unknown, of the wrong type or out of its range.
    """
    try:
        return msgspec.convert(spec.parameters, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the parameters of {spec.name} are not those of {spec.task}: {error}",
            context={"known": ", ".join(field.name for field in msgspec.structs.fields(kind))},  # type: ignore[arg-type]
            hints=[
                "if another version of paddlesrv has installed it, install it again:"
                f" paddlesrv get {spec.name} --force"
            ],
        ) from error


def read_text(spec: ModelSpec, root: Path, role: str) -> str:
    """The text of the file with that role, with line ends as they are in it.

    Raises:
        IntegrityError: the model has no such file, it is not there, or it is not UTF-8.
    """
    if role not in spec.files:
        raise IntegrityError(
            f"{spec.name} has no file with role {role!r}, which {spec.task} needs",
            context={"roles": ", ".join(spec.files) or "none"},
        )
    path = root / spec.files[role]
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise IntegrityError(
            f"cannot read {path}, the {role} of {spec.name}: {error.strerror}",
            hints=[f"paddlesrv get --force {spec.name}"],
        ) from error
    except UnicodeDecodeError as error:
        raise IntegrityError(
            f"{path}, the {role} of {spec.name}, is not UTF-8: {error.reason} at {error.start}"
        ) from error


def read_lines(spec: ModelSpec, root: Path, role: str) -> list[str]:
    r"""The lines of a file, divided at `\n` or `\r\n` only: a line may be any other character.

    Raises:
        IntegrityError: as `read_text`.
    """
    lines = read_text(spec, root, role).split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


class Labels:
    """The names of a network's classes: the lines of the file `labels`, if the model has one."""

    def __init__(self, spec: ModelSpec, root: Path) -> None:
        """Read them.

        Raises:
            IntegrityError: the file is not there, or is not UTF-8.
        """
        self.names = read_lines(spec, root, "labels") if "labels" in spec.files else []

    def __getitem__(self, index: int) -> str:
        """A class's name; its number where it has none."""
        return self.names[index] if index < len(self.names) else str(index)


def read_component(task: Task, role: str, kind: type[C]) -> C:
    """The component of a pipeline with that role.

    Raises:
        UsageError: there is none, or it does another task.
    """
    component = task.components.get(role)
    if isinstance(component, kind):
        return component
    found = "nothing" if component is None else f"{component.spec.name} ({component.name})"
    raise UsageError(
        f"{task.spec.name} needs a {kind.name} model as its {role}, and has {found}",
        hints=[f"name one under components.{role}"],
    )


def picture_bytes(task: Task, item: TaskInput) -> bytes:
    """The bytes of an input that must be a picture.

    Raises:
        InvalidInput: it is a text or features.
    """
    if item.kind != "image" or not isinstance(item.data, bytes):
        raise InvalidInput(
            f"{task.spec.name} does {task.name} and takes a picture, got {item.kind}"
        )
    return item.data


def plain_text(task: Task, item: TaskInput) -> str:
    """The text of an input that must be one.

    Raises:
        InvalidInput: it is a picture or features.
    """
    if item.kind != "text" or not isinstance(item.data, str):
        raise InvalidInput(f"{task.spec.name} does {task.name} and takes a text, got {item.kind}")
    return item.data
