"""The ways in which a model could be run here, and what is found out about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from paddlesrv.engines.base import Device, EngineName, Precision
from paddlesrv.models.spec import ModelSpec

if TYPE_CHECKING:
    from paddlesrv.engines.devices import Machine

NOISE = 1.05
"""Times that differ by less are equal."""


class Candidate(msgspec.Struct, frozen=True):
    """An engine, and of paddle's ways the one that is meant (`variants.VARIANTS`)."""

    engine: EngineName
    variant: str | None = None

    def __str__(self) -> str:
        return self.engine if self.variant is None else f"{self.engine} {self.variant}"


class Way(msgspec.Struct, frozen=True):
    """A candidate and its number of threads: all that is chosen."""

    candidate: Candidate
    threads: int

    def __str__(self) -> str:
        return f"{self.candidate}, {self.threads} thread{'s' if self.threads != 1 else ''}"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is to be served, as far as the choice depends on it.

    `threads` 0 leaves their number open, up to `cores`, which is what one instance may use.
    `rows` is the largest batch that serving forms.
    """

    device: Device = Device()
    precision: Precision = "fp32"
    threads: int = 0
    cores: int = 1
    rows: int = 8

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """What may be tried, the usual number first."""
        if self.threads or self.device.kind == "gpu":
            return (self.threads or self.cores,)
        return tuple(dict.fromkeys((self.cores, 1)))


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one run with so many rows and threads: the median over rounds.

    One round is a first look, after which a candidate was far too slow to go on with.
    """

    threads: int
    rows: int
    seconds: float
    rounds: int = 1


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one candidate.

    `refused` is why it cannot be trusted or used; `difference` its largest difference to the
    reference, relative to the largest number of an output.
    """

    candidate: Candidate
    refused: str | None = None
    difference: float | None = None
    timings: tuple[Timing, ...] = ()

    def seconds(self, threads: int, rows: int) -> float | None:
        """The time with so many threads and rows, if it was measured."""
        for timing in self.timings:
            if (timing.threads, timing.rows) == (threads, rows):
                return timing.seconds
        return None


def engines_for(
    spec: ModelSpec, device: Device, precision: Precision, machine: Machine
) -> tuple[EngineName, ...]:
    """The engines that run such files so on this machine, the one that they are made for first."""
    able = {
        rule.engine
        for rule in machine.possible()
        if (rule.device, rule.precision) == (device.kind, precision)
    }
    order: tuple[EngineName, ...] = ("paddle", "onnxruntime", "openvino")
    if spec.format == "onnx":
        order = ("onnxruntime", "openvino")
    return tuple(engine for engine in order if engine in able)


def pick(evidence: Sequence[Evidence], usual: Way, rows: Sequence[int]) -> tuple[Way, str]:
    """The fastest way that is nowhere slower than the usual one, and the reason in words.

    Ways are compared by the product of their times over all batches: so that one row and a full
    batch count alike. Only what beats the usual way by more than noise is taken.
    """
    times = {
        Way(found.candidate, timing.threads): [found.seconds(timing.threads, n) for n in rows]
        for found in evidence
        if found.refused is None
        for timing in found.timings
    }
    base = times.get(usual)
    if base is None or None in base:
        return usual, "it is the usual one, and there was no time to measure others"
    best, least = usual, 1.0
    for way, each in times.items():
        ratios = [mine / its for mine, its in zip(each, base, strict=True) if mine and its]
        if len(ratios) < len(rows) or max(ratios) > NOISE:
            continue
        product = 1.0
        for ratio in ratios:
            product *= ratio
        if product < min(least, 1 / NOISE):
            best, least = way, product
    if best == usual:
        return usual, f"nothing that agrees is faster than {usual}"
    gains = [f"{b / m:.1f}x at batch {n}" for n, b, m in zip(rows, base, times[best], strict=True)
             if b and m]  # fmt: skip
    return best, f"against {usual}: {', '.join(gains)}"


Watch = Callable[[str], None]
"""Told what is being done, before it takes long."""
