"""Joins what a model's files say with what only the catalogue knows into a `ModelSpec`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

from paddlesrv.models.signature import Signature
from paddlesrv.models.spec import Made, ModelSpec, TensorSpec
from paddlesrv.zoo.entries import Entry, TensorHint

DEFAULT_MAX_BATCH_SIZE = 8


def model_spec(
    entry: Entry,
    signature: Signature,
    *,
    directory: str,
    files: dict[str, str],
    digests: dict[str, str],
    made: Made | None = None,
) -> tuple[ModelSpec, list[str]]:
    """The spec of a model with a network.

    Args:
        entry: What the catalogue knows.
        signature: What the files say, relative to `directory`.
        directory: Where the network lies in the model's directory; "" for the directory itself.
        files: The task's files by role, relative to the model's directory.
        digests: sha256 of all files of the model's directory.
        made: The recipe that made them, if one did.

    Returns:
        The spec, and a line for each hint of the catalogue that fits no tensor.
    """
    aliases = dict(signature.aliases)
    unused: list[str] = []
    inputs = _merged(signature.inputs, entry.inputs, aliases, "input", unused)
    outputs = _merged(signature.outputs, entry.outputs, aliases, "output", unused)
    outputs = tuple(_with_counts(tensor, outputs, aliases) for tensor in outputs)
    whole = any(tensor.batching == "whole" for tensor in (*inputs, *outputs))
    spec = ModelSpec(
        name=entry.name,
        task=entry.task,
        format=signature.format,
        program=_below(directory, signature.program),
        params=_below(directory, signature.params),
        inputs=inputs,
        outputs=outputs,
        components=entry.components,
        parameters=entry.parameters,
        files=files,
        max_batch_size=1 if whole else entry.max_batch_size or DEFAULT_MAX_BATCH_SIZE,
        aliases=aliases,
        digests=digests,
        made=made,
    )
    return with_revision(spec), unused


def pipeline_spec(entry: Entry, *, files: dict[str, str], digests: dict[str, str]) -> ModelSpec:
    """The spec of a model that is made of other models."""
    return with_revision(
        ModelSpec(
            name=entry.name,
            task=entry.task,
            format="pipeline",
            components=entry.components,
            parameters=entry.parameters,
            files=files,
            max_batch_size=entry.max_batch_size or DEFAULT_MAX_BATCH_SIZE,
            digests=digests,
        )
    )


def with_revision(spec: ModelSpec) -> ModelSpec:
    """The revision is the digest of all the rest, and so of every file and of every choice."""
    content = msgspec.json.encode(spec, order="deterministic")
    return msgspec.structs.replace(spec, revision=hashlib.sha256(content).hexdigest())


def _below(directory: str, path: str | None) -> str | None:
    return str(PurePosixPath(directory) / path) if path is not None else None


def _merged(
    tensors: Sequence[TensorSpec],
    hints: Sequence[TensorHint],
    aliases: dict[str, str],
    side: str,
    unused: list[str],
) -> tuple[TensorSpec, ...]:
    """The tensors with their hints; new aliases are added to `aliases`."""
    merged = {tensor.name: tensor for tensor in tensors}
    for hint in hints:
        name = _tensor_of(hint, merged, aliases)
        if name is None and hint.optional:
            continue
        if name is None:
            called = hint.name or hint.alias or hint.role
            unused.append(f"the catalogue knows an {side} {called!r} that the files do not have")
            continue
        merged[name] = _hinted(merged[name], hint)
        if hint.alias is not None and hint.alias not in merged:
            aliases.setdefault(hint.alias, name)
    return tuple(merged.values())


def _tensor_of(
    hint: TensorHint, tensors: dict[str, TensorSpec], aliases: dict[str, str]
) -> str | None:
    """The tensor that a hint is about: by name, by alias, or since there is no other."""
    if hint.name is not None and hint.name in tensors:
        return hint.name
    if hint.alias is not None:
        for name in (aliases.get(hint.alias), hint.alias):
            if name is not None and name in tensors:
                return name
    return next(iter(tensors)) if len(tensors) == 1 and not hint.optional else None


def _hinted(tensor: TensorSpec, hint: TensorHint) -> TensorSpec:
    known = {
        field: value
        for field in ("role", "dtype", "shape", "lod_level", "batching", "counts")
        if (value := getattr(hint, field)) is not None
    }
    if known.get("lod_level") == 1 and "batching" not in known:
        known["batching"] = "lod"
    return msgspec.structs.replace(tensor, **known)


def _with_counts(
    tensor: TensorSpec, outputs: Sequence[TensorSpec], aliases: dict[str, str]
) -> TensorSpec:
    """`counts` as the name of a tensor that is there; without one, the division is by `lod`."""
    if tensor.counts is None:
        return tensor
    names = {other.name for other in outputs}
    for counts in (tensor.counts, aliases.get(tensor.counts)):
        if counts in names:
            return msgspec.structs.replace(tensor, counts=counts)
    return msgspec.structs.replace(tensor, batching="lod", counts=None)
