"""The ways in which paddle can run one network on the CPU, and the choice among them.

oneDNN, on by default, is 3 to 5 times as fast as plain kernels, but in paddlepaddle 3.3 some of
its passes break some networks: `onednn_placement_pass` makes a PIR program with an interpolation
fail at its first run, and `elementwise_act_onednn_fuse_pass` turns the outputs of networks with a
hand-made hard-swish into NaN, without an error; `fc_gru_fuse_pass` under oneDNN makes the answer
to one sequence depend on the others in its batch; and there are products of matrices that oneDNN
itself gets wrong (`outer_product`). A variant is a set of passes left out; more of
them, or a record of which one is fastest for a model, only need another row or another caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from paddlesrv.engines.outer_product import has_outer_product
from paddlesrv.errors import EngineError
from paddlesrv.models.spec import Format
from paddlesrv.models.tensor import Tensor

_log = logging.getLogger(__name__)

_RELATIVE_TOLERANCE = 1e-2
_SMALL = 1e-3  # outputs below are as much rounding as answer: differences are taken relative to it
_INTERPOLATION = b"_interp"


class Variant(msgspec.Struct, frozen=True):
    """One way to run: with oneDNN or without, and which passes are left out."""

    name: str
    onednn: bool = True
    without: tuple[str, ...] = ()


ONEDNN = Variant("onednn")
NO_PLACEMENT = Variant("onednn-without-placement", without=("onednn_placement_pass",))
NO_ACT_FUSE = Variant("onednn-without-act-fuse", without=("elementwise_act_onednn_fuse_pass",))
PLAIN = Variant("plain", onednn=False)
VARIANTS = {variant.name: variant for variant in (ONEDNN, NO_PLACEMENT, NO_ACT_FUSE, PLAIN)}


class Runnable(Protocol):
    """What a variant makes of a network."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name; raises EngineError."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


Loaded = TypeVar("Loaded", bound=Runnable)


def candidates(kind: Format, program: bytes) -> tuple[Variant, ...]:
    """Variants worth a try for a program, the fastest that is likely to work first.

    Args:
        kind: The program's format.
        program: Its bytes; its operators are looked for in them.
    """
    if has_outer_product(kind, program):
        return (PLAIN,)
    if kind != "paddle-pir":
        return (ONEDNN, NO_ACT_FUSE, PLAIN)
    if _INTERPOLATION in program:
        return (NO_PLACEMENT, PLAIN)
    return (ONEDNN, NO_PLACEMENT, PLAIN)


def choose(
    load: Callable[[Variant], Loaded],
    variants: Sequence[Variant],
    inputs: Mapping[str, Tensor],
) -> tuple[Variant, Loaded]:
    """Load the first variant whose answers to a check input can be trusted.

    One that is alone is not asked. The first one is trusted if all its outputs are finite numbers.
    If they are not, the last one, the slowest and plainest, says whether that is the input's
    fault; if it is not, the first of the others that agrees with it is taken, or else itself.

    Raises:
        EngineError: a variant does not load.
    """
    first, *others = variants
    loaded = load(first)
    if not others or _answers(loaded, inputs) is not None:
        return first, loaded
    plain = others.pop()
    referee = load(plain)
    truth = _answers(referee, inputs)
    if truth is None:
        _log.info("the check input says nothing about this network; %s is used", first.name)
        referee.close()
        return first, loaded
    loaded.close()
    for variant in others:
        loaded = load(variant)
        answers = _answers(loaded, inputs)
        if answers is not None and difference(answers, truth) <= _RELATIVE_TOLERANCE:
            _log.warning("%s gives wrong answers here; %s is used", first.name, variant.name)
            referee.close()
            return variant, loaded
        loaded.close()
    _log.warning("%s gives wrong answers here; %s is used", first.name, plain.name)
    return plain, referee


def difference(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """The largest difference between two answers, relative to the largest number of an output.

    Of whole numbers, which are indices as a rule, it is the share of those that are not the same:
    where two classes are as likely, the order of adding decides, and one of them is no nearer.
    Infinite where shapes differ, an output is missing, or one of two numbers is not finite.
    """
    largest = 0.0
    if found.keys() != expected.keys():
        return float("inf")
    for name, tensor in expected.items():
        a, b = (np.asarray(t.data, dtype=np.float64) for t in (found[name], tensor))
        if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf")
        if tensor.data.dtype.kind in "iub":
            largest = max(largest, float(np.mean(a != b)) if a.size else 0.0)
            continue
        keep = np.isfinite(a)
        if keep.any():
            scale = max(float(np.abs(b[keep]).max()), _SMALL)
            largest = max(largest, float(np.abs(a[keep] - b[keep]).max()) / scale)
    return largest


def _answers(network: Runnable, inputs: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The outputs, or None if the run fails or one of them is not finite."""
    try:
        outputs = network.run(inputs)
    except EngineError as error:
        _log.info("the check input failed: %s", error.message)
        return None
    for tensor in outputs.values():
        if tensor.data.dtype.kind == "f" and not np.isfinite(tensor.data).all():
            return None
    return outputs
