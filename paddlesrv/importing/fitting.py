"""Joins a network and a task: which tensor plays which role, and why one does not fit."""

from __future__ import annotations

import msgspec

from paddlesrv.errors import UsageError
from paddlesrv.models.signature import Signature
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.tasks import TASKS, task_class
from paddlesrv.tasks.base import Wanted

TENSORS = "tensors"
"""No task: the model is served as its tensors are."""


SHORT_WORDS = {
    "classification": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "recognition": "text-recognition",
    "orientation": "text-line-orientation",
    "embedding": "text-embedding",
    "sentiment": "sentiment-analysis",
    "ctr": "click-through-rate",
}
"""What people call a task -> its name."""


def task_name(word: str) -> str:
    """The name of the task that a word means; the word itself where it means none."""
    return SHORT_WORDS.get(word, word)


def check_task(task: str) -> None:
    """See that a model of its own can be made for the task.

    Raises:
        UsageError: there is no such task, or it is made of several models.
    """
    if task == TENSORS:
        return
    if task in TASKS and task_class(task).inputs:
        return
    known = [name for name in TASKS if task_class(name).inputs]
    if task in TASKS:
        raise UsageError(
            f"{task} is a task for several models together, not for one network",
            context={"tasks": ", ".join([*known, TENSORS])},
            hints=["import each network with its own task"],
        )
    import difflib

    near = difflib.get_close_matches(task, [*known, TENSORS], n=1)
    raise UsageError(
        f"{task!r} is no task that a model can be imported for",
        context={"tasks": ", ".join([*known, TENSORS])},
        hints=[f"did you mean --task {near[0]}?"]
        if near
        else ["serve its tensors: --task tensors"],
    )


def with_roles(signature: Signature, task: str) -> tuple[tuple[TensorSpec, ...], ...]:
    """Inputs and outputs, with the roles by which the task finds them.

    A role is given only where exactly one tensor can have it.

    Raises:
        UsageError: the network has other inputs than the task feeds, or not the outputs that it
            reads; says of each tensor what does not fit.
    """
    if task == TENSORS:
        return signature.inputs, signature.outputs
    kind = task_class(task)
    inputs = _assigned(signature.inputs, kind.inputs, task, "input")
    unfed = [tensor for tensor in inputs if tensor.role is None]
    if len(inputs) > len(kind.inputs) or (unfed and any(w.optional for w in kind.inputs)):
        raise _misfit(signature.inputs, kind.inputs, task, "input")
    outputs = _assigned(signature.outputs, kind.outputs, task, "output")
    return inputs, _with_counts(outputs, kind.outputs)


def class_count(spec: ModelSpec) -> int | None:
    """How many classes the network answers, where that is known; None where it is not.

    Known is it for an output with the role "scores", and for a network whose only output is one
    row of fixed length for each input.
    """
    scores = [tensor for tensor in spec.outputs if tensor.role == "scores"]
    if not scores and len(spec.outputs) == 1 and len(spec.outputs[0].shape) == 2:
        scores = [tensor for tensor in spec.outputs if tensor.batching == "rows"]
    if not scores or scores[0].shape[-1] <= 1:
        return None
    return scores[0].shape[-1]


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people; ? is a variable dimension."""
    return "[" + ", ".join("?" if size < 0 else str(size) for size in shape) + "]"


def _assigned(
    tensors: tuple[TensorSpec, ...], wanted: tuple[Wanted, ...], task: str, side: str
) -> tuple[TensorSpec, ...]:
    roles: dict[str, str] = {}
    for want in wanted:
        if want.optional:
            roles |= dict.fromkeys(_optional(tensors, roles, want, side), want.role)
            continue
        fitting = [t for t in tensors if t.name not in roles and _problem(t, want) is None]
        if len(fitting) != 1:
            raise _misfit(tensors, wanted, task, side)
        roles[fitting[0].name] = want.role
    return tuple(msgspec.structs.replace(t, role=roles.get(t.name, t.role)) for t in tensors)


def _optional(
    tensors: tuple[TensorSpec, ...], roles: dict[str, str], want: Wanted, side: str
) -> list[str]:
    """The tensor that an optional one is; of inputs, several of a kind, only the name tells."""
    fitting = [t.name for t in tensors if t.name not in roles and _problem(t, want) is None]
    if side == "input":
        return [name for name in fitting if name == want.role]
    return fitting if len(fitting) == 1 else []


def _with_counts(
    tensors: tuple[TensorSpec, ...], wanted: tuple[Wanted, ...]
) -> tuple[TensorSpec, ...]:
    """How outputs divide whose rows for each input are told by another one."""
    by_role = {tensor.role: tensor.name for tensor in tensors}
    counted = {want.role: by_role[want.counts] for want in wanted if want.counts in by_role}
    return tuple(
        msgspec.structs.replace(t, batching="counts", counts=counted[t.role])
        if t.role in counted
        else t
        for t in tensors
    )


def _problem(tensor: TensorSpec, want: Wanted) -> str | None:
    """Why a tensor cannot be the one that is wanted."""
    for dtype, shape in want.others:
        if _difference(tensor, msgspec.structs.replace(want, dtype=dtype, shape=shape)) is None:
            return None
    return _difference(tensor, want)


def _difference(tensor: TensorSpec, want: Wanted) -> str | None:
    if tensor.dtype != want.dtype:
        return f"its type is not {want.dtype}"
    if tensor.lod_level != want.lod_level:
        return "it is a sequence (LoD)" if tensor.lod_level else "it is no sequence (LoD)"
    if len(tensor.shape) != len(want.shape):
        return f"it has {len(tensor.shape)} dimensions, not {len(want.shape)}"
    for place, (size, side) in enumerate(zip(tensor.shape, want.shape, strict=True)):
        if size > 0 and side > 0 and size != side:
            return f"dimension {place} is {size}, not {side}"
    return None


def _misfit(
    tensors: tuple[TensorSpec, ...], wanted: tuple[Wanted, ...], task: str, side: str
) -> UsageError:
    expected = "; ".join(
        f"{w.role}: {w.dtype} {shape_text(w.shape)}"
        + "".join(f" or {dtype} {shape_text(shape)}" for dtype, shape in w.others)
        + (" as a sequence (LoD)" if w.lod_level else "")
        for w in wanted
    )
    context = {f"{task} takes" if side == "input" else f"{task} reads": expected}
    for tensor in tensors:
        problems = [_problem(tensor, want) for want in wanted]
        fits = f"fits {wanted[problems.index(None)].role}" if None in problems else problems[0]
        context[f"{side} {tensor.name}"] = f"{tensor.dtype} {shape_text(tensor.shape)}: {fits}"
    return UsageError(
        f"the {side}s of the network do not fit the task {task}",
        context=context,
        hints=["serve its tensors, and see them with `paddlesrv info`: --task tensors"],
    )
