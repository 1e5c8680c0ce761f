"""The door: what a model's inputs must be before anything is queued.

Paddle Inference accepts much that it then answers wrongly, and some input kills or hangs its
process (an empty batch, a missing or impossible level of detail). Whatever passes here is safe
to run; every refusal names the tensor, what came and what was expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from paddlesrv.errors import InvalidInput, PayloadTooLarge
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import size_of

LOD_SUFFIX = ".lod"
"""Offsets of input `words` travel as a tensor `words.lod`, as Paddle Serving's clients name it."""

SMALL = 4096
"""Values of a tensor for which the cost of each call counts, not that of each value."""

MAX_REQUEST_BYTES = 1 << 30
"""The most that one request's tensors may weigh, whatever the protocol let through."""


def fold_offsets(spec: ModelSpec, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs with every `NAME.lod` tensor folded into the offsets of `NAME`.

    Raises:
        InvalidInput: offsets for an input that takes none, or not a list of integers.
    """
    if not any([name.endswith(LOD_SUFFIX) for name in inputs]):  # a list: few, and asked often
        return inputs
    folded = dict(inputs)
    for name, tensor in inputs.items():
        if not name.endswith(LOD_SUFFIX) or spec.input(name) is not None:
            continue
        owner = name[: -len(LOD_SUFFIX)]
        declared = spec.input(owner)
        if declared is None or declared.lod_level == 0:
            raise InvalidInput(f"input {owner!r} takes no level-of-detail offsets, got {name!r}")
        offsets = tensor.data
        if offsets.ndim != 1 or offsets.dtype.kind not in "iu":
            raise InvalidInput(
                f"{name!r} must be a list of integers",
                context={"found": _describe(tensor), "wanted": "int64 [number of sequences + 1]"},
            )
        del folded[name]
        if owner in folded:
            folded[owner] = Tensor(folded[owner].data, tuple(int(o) for o in offsets))
    return folded


def check_inputs(spec: ModelSpec, inputs: dict[str, Tensor], *, trusted: bool = False) -> int:
    """Refuse what the model must not see; otherwise say how many rows the request has.

    Args:
        spec: The model.
        inputs: Tensors by name.
        trusted: The tensors were made by our own task: values are not searched for NaN.

    Returns:
        The number of rows: the batch that this request is by itself.

    Raises:
        InvalidInput: names, types, shapes, offsets or values are not what the model takes.
        PayloadTooLarge: the tensors weigh more than `MAX_REQUEST_BYTES`.
    """
    if len(inputs) != len(spec.inputs):
        _refuse_names(spec, inputs)
    rows = -1
    total = 0
    first = ""
    for declared in spec.inputs:
        tensor = inputs.get(declared.name)
        if tensor is None:
            _refuse_names(spec, inputs)
        _check_tensor(declared, tensor, trusted=trusted)
        total += size_of(tensor.data)
        if declared.batching == "whole":
            continue
        if rows < 0:
            rows, first = tensor.rows, declared.name
        elif tensor.rows != rows:
            raise InvalidInput(
                f"inputs {first!r} and {declared.name!r} of {spec.name!r} differ in batch size",
                context={"found": f"{first}: {rows}, {declared.name}: {tensor.rows}"},
            )
    if total > MAX_REQUEST_BYTES:
        raise PayloadTooLarge(
            f"the request's tensors weigh {total} bytes, more than {MAX_REQUEST_BYTES}",
            hints=["send fewer rows at a time"],
        )
    return max(rows, 1)


def outputs_wanted(spec: ModelSpec, names: Sequence[str]) -> list[str]:
    """The model's outputs that are asked for, all if none is; offsets come with their output.

    Raises:
        InvalidInput: a name is none of an output, or of the offsets of one.
    """
    if not names:
        return [output.name for output in spec.outputs]
    known = {output.name: output.name for output in spec.outputs}
    known |= {o.name + LOD_SUFFIX: o.name for o in spec.outputs if o.lod_level}
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"model {spec.name!r} has no output {name!r}",
                context={"wanted": ", ".join(known)},
            )
    return list(dict.fromkeys(known[name] for name in names))


def check_offsets(name: str, offsets: tuple[int, ...], rows: int) -> None:
    """Offsets must rise from 0 to the number of rows, with no empty span.

    Raises:
        InvalidInput: they do not. Paddle would crash, hang, or answer wrongly.
    """
    problem = ""
    if len(offsets) < 2:
        problem = "has no sequence"
    elif offsets[0] != 0:
        problem = f"starts at {offsets[0]}, not at 0"
    elif offsets[-1] != rows:
        problem = f"ends at {offsets[-1]}, but there are {rows} rows"
    else:
        for i in range(len(offsets) - 1):
            if offsets[i + 1] <= offsets[i]:
                what = "empty" if offsets[i + 1] == offsets[i] else "negative"
                problem = f"makes sequence {i} {what} ({offsets[i]}:{offsets[i + 1]})"
                break
    if problem:
        shown = str(list(offsets[:8]))[:-1] + (", ...]" if len(offsets) > 8 else "]")
        raise InvalidInput(
            f"the level of detail of input {name!r} {problem}",
            context={"found": shown, "wanted": f"rising offsets from 0 to {rows}"},
        )


def _check_tensor(declared: TensorSpec, tensor: Tensor, *, trusted: bool) -> None:
    data = tensor.data
    if dtype_name(data) != declared.dtype:
        raise InvalidInput(
            f"input {declared.name!r} has the wrong type",
            context={"found": _describe(tensor), "wanted": _wanted(declared)},
        )
    shape = declared.shape
    have = data.shape
    # Most often the rows are just as declared; otherwise look at each dimension.
    fits = data.ndim == len(shape)
    if fits and not (have[1:] == shape[1:] and data.size and declared.batching != "whole"):
        # The first dimension is the batch: whatever a file declares there, rows may be merged.
        start = 0 if declared.batching == "whole" else 1
        for i in range(data.ndim):
            if have[i] < 1 or (i >= start and shape[i] >= 0 and have[i] != shape[i]):
                fits = False
    if not fits:
        raise InvalidInput(
            f"input {declared.name!r} has the wrong shape",
            context={"found": _describe(tensor), "wanted": _wanted(declared)},
        )
    if declared.lod_level:
        if tensor.lod is None:
            raise InvalidInput(
                f"input {declared.name!r} needs level-of-detail offsets",
                context={"found": "none", "wanted": f"rising offsets from 0 to {data.shape[0]}"},
                hints=[f"send them as an int64 tensor named {declared.name + LOD_SUFFIX!r}"],
            )
        check_offsets(declared.name, tensor.lod, data.shape[0])
    elif tensor.lod is not None:
        raise InvalidInput(f"input {declared.name!r} takes no level-of-detail offsets")
    if declared.dtype == "bytes":
        _check_texts(declared.name, data)
    if not trusted and declared.finite and data.dtype.kind == "f" and not _is_finite(data):
        raise InvalidInput(
            f"input {declared.name!r} has values that are not finite",
            context={"found": "NaN or infinity", "wanted": "finite numbers"},
        )


def _check_texts(name: str, data: Array) -> None:
    for number, text in enumerate(data.ravel()):
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"element {number} of input {name!r} is no text in UTF-8",
                context={"found": f"byte 0x{text[error.start]:02x} at {error.start}"},
            ) from None


def _is_finite(data: Array) -> bool:
    # One product tells in most cases, at a third of the cost; a sum of squares that is not finite
    # may also be one of large numbers. Long ones would start threads of the BLAS library.
    if data.size <= SMALL and math.isfinite(np.vdot(data, data)):
        return True
    return bool(np.isfinite(data).all())


def _refuse_names(spec: ModelSpec, inputs: dict[str, Tensor]) -> NoReturn:
    wanted = [t.name for t in spec.inputs]
    missing = [name for name in wanted if name not in inputs]
    if missing:
        message = f"model {spec.name!r} needs input {missing[0]!r}"
    else:
        unknown = next(name for name in inputs if name not in wanted)
        message = f"model {spec.name!r} has no input {unknown!r}"
    raise InvalidInput(
        message,
        context={"found": ", ".join(inputs) or "no inputs", "wanted": ", ".join(wanted)},
    )


def _describe(tensor: Tensor) -> str:
    return f"{tensor.data.dtype.name} {list(tensor.data.shape)}"


def _wanted(declared: TensorSpec) -> str:
    dims = ", ".join("any" if d < 0 else str(d) for d in declared.shape[1:])
    first = "batch" if declared.lod_level == 0 else "rows"
    if declared.batching == "whole":
        return f"{declared.dtype} {list(declared.shape)}"
    return f"{declared.dtype} [{first}{', ' if dims else ''}{dims}]"
