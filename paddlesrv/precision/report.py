"""What came of a quantisation: the report that is looked at before an int8 form is accepted.

It is kept beside the form as `report.json`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far int8 and fp32 agree on what was calibrated with, by the task's own measure.

    `value` is the mean over the inputs, 1 is complete agreement; `worst` are the inputs that agree
    least, with their values.
    """

    measure: str
    value: float
    threshold: float
    worst: tuple[tuple[str, float], ...] = ()

    @property
    def enough(self) -> bool:
        """Whether the threshold is reached."""
        return self.value >= self.threshold


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Median milliseconds of one run of so many rows, both forms in turns."""

    rows: int
    fp32_ms: float
    int8_ms: float

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is."""
        return self.fp32_ms / self.int8_ms


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """One network: a pipeline has several.

    `cosine` is the mean similarity of its raw outputs, `recorded` how many inputs it was calibrated
    with, `operators` which were quantised (none named: all that can be); `spared` tells whether
    both ends and convolutions of single channels were left out, `reduced_range` whether weights
    have 7 bits.
    """

    model: str
    recorded: int
    operators: tuple[str, ...] = ()
    reduced_range: bool = False
    spared: bool = False
    cosine: float
    fp32_bytes: int
    int8_bytes: int
    speed: tuple[Speed, ...] = ()


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was calibrated with: how many inputs, and the digest of their names and contents."""

    directory: str
    count: int
    sha256: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of quantising a model.

    `accepted` tells whether the int8 form is kept and served; `forced`, that it was taken although
    it agrees too little. `attempts` are the agreements of what was tried before, by its name.
    """

    schema: int = 1
    model: str
    task: str
    engine: str = "onnxruntime"
    precision: str = "int8"
    accepted: bool
    forced: bool = False
    agreement: Agreement
    networks: tuple[Network, ...]
    calibration: Calibration
    attempts: tuple[tuple[str, float], ...] = ()
    cpu: str
    threads: int
    onnxruntime: str
    when: datetime

    @property
    def faster(self) -> bool:
        """Whether any network gains from it with one row or with several."""
        return any(speed.ratio > 1 for network in self.networks for speed in network.speed)

    @property
    def lines(self) -> list[str]:
        """The report as plain lines for a person."""
        agreement = self.agreement
        verdict = "accepted" if self.accepted else "not accepted"
        if self.forced:
            verdict += " although it agrees too little, as asked"
        told = [
            f"{self.model}: int8 with onnxruntime {self.onnxruntime}, {verdict}",
            f"agreement  {agreement.measure} {agreement.value:.3f} "
            f"(wanted {agreement.threshold:.3f}) on {self.calibration.count} inputs",
        ]
        if not agreement.enough:
            told += [f"           least: {name} {value:.3f}" for name, value in agreement.worst]
        for network in self.networks:
            sizes = f"{network.fp32_bytes / 1e6:.1f} -> {network.int8_bytes / 1e6:.1f} MB"
            told.append(f"{network.model}  {sizes}, cosine of raw outputs {network.cosine:.4f}")
            told += [
                f"           batch {speed.rows}: {speed.fp32_ms:.2f} -> {speed.int8_ms:.2f} ms, "
                f"{speed.ratio:.2f} times as fast"
                for speed in network.speed
            ]
        if not self.faster:
            told.append("it is not faster than fp32 on this machine")
        return told
