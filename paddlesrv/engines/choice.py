"""`--engine auto`: which engine serves a model best on this machine. Measured once, and kept.

No engine is the fastest everywhere, and one that answers wrongly is never the right one. So every
way in which a model could run (a `Candidate`) is loaded in a process of its own (`choice_worker`),
has its answers to check inputs held against those of the reference, and is timed in turns with the
others, with one row and with as many as serving forms. What follows is a `Choice`, kept with all
of its evidence below `choices` in the store: as long as model, machine and engines stay the same,
nothing is measured again. `forget` takes it back.

The reference is paddle without oneDNN, or onnxruntime for a model that is an ONNX file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from paddlesrv.engines.base import EngineName, EngineOptions, Precision
from paddlesrv.engines.candidates import Candidate, Evidence, Wanted, Watch, Way, engines_for
from paddlesrv.engines.devices import Machine, describe
from paddlesrv.models.spec import ModelSpec

DIRECTORY = "choices"
"""In the store."""
LIMIT_SECONDS = 120.0
SCHEMA = 1

# Between answers to the same input, relative to the largest number of an output. Two right ways
# of computing in 32 bits differ by some 1e-5; the others by what their formats keep of a number.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2, "int8": 1e-1}

_log = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the engines that a choice holds for; `engines` has the converter as well."""

    cpu: str
    cores: int
    gpu: str | None = None
    engines: dict[str, str] = {}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine serves a model, why, and what was found out before.

    `usual` is the way that the model would be served without a choice, which the others had to
    beat; `rows` the batches that were timed; `kept` tells whether the record is in the store, and
    `settled` whether there is nothing more to find out.
    """

    schema: int = SCHEMA
    model: str
    engine: EngineName
    variant: str | None = None
    threads: int
    why: str
    wanted: Wanted
    place: Place
    usual: Way | None = None
    tolerance: float | None = None
    rows: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    when: datetime
    took_seconds: float = 0.0
    kept: bool = True
    settled: bool = True

    @property
    def options(self) -> EngineOptions:
        """How the network is to be loaded."""
        return EngineOptions(
            engine=self.engine,
            device=self.wanted.device,
            precision=self.wanted.precision,
            threads=self.threads,
            variant=self.variant,
        )

    def gain(self, rows: int = 1) -> float | None:
        """How many times as fast as the usual way it was with so many rows."""
        if self.usual is None:
            return None
        usual = self._seconds(self.usual, rows)
        chosen = self._seconds(Way(Candidate(self.engine, self.variant), self.threads), rows)
        return usual / chosen if usual and chosen else None

    @property
    def short(self) -> str:
        """In a few words for a person: `onnxruntime (2.3x paddle at batch 1)`."""
        gain = self.gain()
        if self.usual is None or gain is None or self._is(self.usual):
            return self.engine
        way = self.engine if self.threads == self.usual.threads else f"{self.engine}, 1 thread"
        return f"{way} ({gain:.1f}x {self.usual.candidate.engine} at batch 1)"

    def _is(self, way: Way) -> bool:
        return way == Way(Candidate(self.engine, self.variant), self.threads)

    def _seconds(self, way: Way, rows: int) -> float | None:
        for evidence in self.evidence:
            if evidence.candidate == way.candidate:
                return evidence.seconds(way.threads, rows)
        return None


def choose(
    spec: ModelSpec,
    root: Path,
    wanted: Wanted,
    cache_dir: Path,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    watch: Watch = lambda text: None,
) -> Choice:
    """The engine to serve a model with: as recorded, or else as a trial says, which is recorded.

    Args:
        spec: The model; not a pipeline.
        root: The directory that the spec's paths start from.
        wanted: How it is to be served.
        cache_dir: The store's directory.
        limit_seconds: Time for the conversion and the trial together; 0: nothing is tried.
        watch: Told what is being done, before it takes long.

    Raises:
        IntegrityError: a file of the model is missing or damaged.
    """
    known = recall(spec, root, wanted, cache_dir)
    if known is not None:
        return known
    machine = describe()
    began = time.monotonic()
    from paddlesrv.engines.trial import settle

    tolerance = TOLERANCE[wanted.precision]
    decided = settle(spec, root, wanted, machine, cache_dir, limit_seconds, tolerance, watch)
    choice = Choice(
        model=spec.name,
        engine=decided.way.candidate.engine,
        variant=decided.way.candidate.variant,
        threads=decided.way.threads,
        why=decided.why,
        wanted=wanted,
        place=_place(machine, wanted),
        usual=decided.usual,
        tolerance=tolerance if decided.evidence else None,
        rows=decided.rows,
        evidence=decided.evidence,
        when=datetime.now(timezone.utc),
        took_seconds=round(time.monotonic() - began, 2),
    )
    if not decided.final or decided.needless:
        return msgspec.structs.replace(choice, kept=False, settled=decided.final)
    try:
        _keep(choice, _file(spec, root, wanted, machine, cache_dir))
    except OSError as error:
        _log.warning(
            "the engine chosen for %s cannot be written down (%s); it is chosen anew next time",
            spec.name,
            error.strerror or error,
        )
        return msgspec.structs.replace(choice, kept=False)
    return choice


def recall(spec: ModelSpec, root: Path, wanted: Wanted, cache_dir: Path) -> Choice | None:
    """The recorded choice for a model that is served so on this machine, or None."""
    if spec.format == "pipeline":
        return None
    directory = cache_dir / DIRECTORY
    if not directory.is_dir():  # without a record, nothing needs to be hashed
        return None
    return _read(_file(spec, root, wanted, describe(), cache_dir))


def recorded(spec: ModelSpec, root: Path, cache_dir: Path) -> list[Choice]:
    """Every choice that was recorded for these very files, the newest first, valid or not."""
    return sorted(
        (choice for path in _files(spec, root, cache_dir) if (choice := _read(path)) is not None),
        key=lambda choice: choice.when,
        reverse=True,
    )


def in_force(choice: Choice) -> bool:
    """Whether a record was made on this machine with the engines that are installed now."""
    return choice.place == _place(describe(), choice.wanted)


def forget(spec: ModelSpec, root: Path, cache_dir: Path) -> int:
    """Remove what was recorded for a model; the next start chooses anew. How many there were.

    Raises:
        OSError: the store cannot be written.
    """
    paths = _files(spec, root, cache_dir)
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)


def undecided(spec: ModelSpec, wanted: Wanted, machine: Machine | None = None) -> EngineOptions:
    """How a network runs where nothing was chosen: the engine that its files are made for.

    That engine, or if it does not compute in this precision there, the first one that does.
    """
    possible = engines_for(spec, wanted.device, wanted.precision, machine or describe())
    own: EngineName = "onnxruntime" if spec.format == "onnx" else "paddle"
    return EngineOptions(
        engine=possible[0] if possible else own,
        device=wanted.device,
        precision=wanted.precision,
        threads=wanted.thread_counts[0],
    )


def _place(machine: Machine, wanted: Wanted) -> Place:
    gpus = {gpu.index: gpu.name for gpu in machine.gpus.devices}
    device = wanted.device
    engines: dict[str, str] = {build.engine: build.version for build in machine.engines}
    with suppress(importlib.metadata.PackageNotFoundError):
        engines["paddle2onnx"] = importlib.metadata.version("paddle2onnx")
    return Place(
        cpu=machine.cpu.name,
        cores=machine.cpu.cores,
        gpu=gpus.get(device.index) if device.kind == "gpu" else None,
        engines=engines,
    )


def _file(spec: ModelSpec, root: Path, wanted: Wanted, machine: Machine, cache_dir: Path) -> Path:
    conditions = msgspec.json.encode((SCHEMA, wanted, _place(machine, wanted)), order="sorted")
    key = hashlib.sha256(conditions).hexdigest()[:24]
    return cache_dir / DIRECTORY / f"{_network(spec, root)}-{key}.json"


def _files(spec: ModelSpec, root: Path, cache_dir: Path) -> list[Path]:
    directory = cache_dir / DIRECTORY
    if spec.format == "pipeline" or not directory.is_dir():
        return []
    return sorted(directory.glob(f"{_network(spec, root)}-*.json"))


def _network(spec: ModelSpec, root: Path) -> str:
    """What identifies the network and its tensors, in place of a name that may move on."""
    from paddlesrv.engines.files import sha256

    digests = spec.digests
    if not digests:  # a directory that was never installed
        from paddlesrv.models.signature import read_signature

        names = read_signature(root, spec.program or "").files
        digests = {name: sha256(root / name) for name in names}
    tensors = [(t.name, t.dtype, t.shape, t.batching) for t in (*spec.inputs, *spec.outputs)]
    whole = msgspec.json.encode((digests, tensors), order="sorted")
    return hashlib.sha256(whole).hexdigest()[:32]


def _read(path: Path) -> Choice | None:
    try:
        choice = msgspec.json.decode(path.read_bytes(), type=Choice)
    except OSError:
        return None
    except msgspec.MsgspecError as error:
        _log.warning("%s is no record of a choice, and is not heeded: %s", path, error)
        return None
    return choice if choice.schema == SCHEMA else None


def _keep(choice: Choice, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(choice), indent=1))
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
