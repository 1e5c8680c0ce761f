"""What `tune` found for a network on this machine: kept in the store, believed nowhere else.

A record lies in `tuned/NETWORK-CONDITIONS.json`: NETWORK stands for the contents of the model's
files, CONDITIONS for device, processor, cores and versions of the engines. A model that is fetched
anew, another machine on the same store or another version of an engine so finds no record.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from paddlesrv.engines.devices import Machine, describe
from paddlesrv.errors import IntegrityError
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Row, Wishes

DIRECTORY = "tuned"
"""In the store."""
SCHEMA = 1
_NAME_CHARACTERS = 32


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a record holds for: its processor, what may be used of it, its engines."""

    cpu: str
    cores: int
    gpu: str | None = None
    engines: dict[str, str] = {}

    @classmethod
    def here(cls, device: str = "cpu", machine: Machine | None = None) -> Place:
        """This machine, for what runs on that device (`cpu`, `gpu:0`)."""
        machine = machine or describe()
        gpus = {f"gpu:{gpu.index}": gpu.name for gpu in machine.gpus.devices}
        return cls(
            cpu=machine.cpu.name,
            cores=machine.cpu.cores,
            gpu=gpus.get(device),
            engines={build.engine: build.version for build in machine.engines},
        )


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is served best, for what, and all that was measured.

    `target` is what was asked while it was tuned: the model, or a pipeline that it is a part of.
    """

    schema: int = SCHEMA
    model: str
    target: str
    device: str = "cpu"
    place: Place
    wishes: Wishes
    chosen: Candidate
    default: Candidate
    gain: float
    noise: float
    why: str
    table: tuple[Row, ...] = ()
    when: datetime
    seconds: float = 0.0

    @property
    def in_force(self) -> bool:
        """Whether it was made on this machine, with the engines that are installed now."""
        return self.place == Place.here(self.device)

    @property
    def short(self) -> str:
        """In a few words: `tuned 2026-11-23 for throughput`."""
        return f"tuned {self.when:%Y-%m-%d} for {self.wishes.objective}"


def recall(
    model: LocalModel, cache_dir: Path, device: str = "cpu", *, called: str = ""
) -> Tuned | None:
    """The record for a network on this machine, or None.

    Args:
        model: The network.
        cache_dir: The store's directory.
        device: Where it runs.
        called: What its user calls it, for hints.

    Raises:
        IntegrityError: it is damaged.
    """
    if model.spec.format == "pipeline" or not (cache_dir / DIRECTORY).is_dir():
        return None
    path = _path(model, cache_dir, Place.here(device), device)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(model, path, error.strerror or str(error), called) from error
    return _decoded(model, path, content, called)


def recorded(model: LocalModel, cache_dir: Path) -> list[Tuned]:
    """Every record for these very files that can be read, wherever made; the newest first."""
    found = []
    for path in paths(model, cache_dir):
        with suppress(OSError, IntegrityError):
            found.append(_decoded(model, path, path.read_bytes()))
    return sorted(found, key=lambda each: each.when, reverse=True)


def paths(model: LocalModel, cache_dir: Path) -> list[Path]:
    """Every record for these very files, wherever made, damaged or not."""
    directory = cache_dir / DIRECTORY
    if model.spec.format == "pipeline" or not directory.is_dir():
        return []
    return sorted(directory.glob(f"{_network(model)}-*.json"))


def keep(record: Tuned, model: LocalModel, cache_dir: Path) -> Path:
    """Write a record in the place of an earlier one; its path.

    Raises:
        OSError: the store cannot be written.
    """
    path = _path(model, cache_dir, record.place, record.device)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=1))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return path


def drop(model: LocalModel, cache_dir: Path, device: str = "cpu") -> None:
    """Remove the record that holds on this machine, if there is one; others stay.

    Raises:
        OSError: the store cannot be written.
    """
    if (cache_dir / DIRECTORY).is_dir():
        _path(model, cache_dir, Place.here(device), device).unlink(missing_ok=True)


def forget(model: LocalModel, cache_dir: Path) -> list[Path]:
    """Remove every record for these files, damaged or not; what there was.

    Raises:
        OSError: the store cannot be written.
    """
    found = paths(model, cache_dir)
    for path in found:
        path.unlink(missing_ok=True)
    return found


def _decoded(model: LocalModel, path: Path, content: bytes, called: str = "") -> Tuned:
    try:
        record = msgspec.json.decode(content, type=Tuned)
    except msgspec.MsgspecError as error:
        raise _damaged(model, path, str(error), called) from error
    if record.schema != SCHEMA:
        raise _damaged(model, path, f"schema {record.schema}, not {SCHEMA}", called)
    return record


def _damaged(model: LocalModel, path: Path, why: str, called: str) -> IntegrityError:
    name = shlex.quote(called or model.spec.name)
    return IntegrityError(
        f"the record of how {model.spec.name} was tuned is damaged",
        context={"file": str(path), "found": why},
        hints=[
            f"serve it as if it had not been tuned: paddlesrv tune {name} --forget",
            f"or tune it again: paddlesrv tune {name}",
        ],
    )


def _path(model: LocalModel, cache_dir: Path, place: Place, device: str) -> Path:
    conditions = msgspec.json.encode((SCHEMA, place, device), order="sorted")
    key = hashlib.sha256(conditions).hexdigest()[:_NAME_CHARACTERS]
    return cache_dir / DIRECTORY / f"{_network(model)}-{key}.json"


def _network(model: LocalModel) -> str:
    """What identifies a network: its files and its tensors, not a name that may move on."""
    from paddlesrv.engines.files import sha256

    spec, digests = model.spec, model.spec.digests
    if not digests:  # a directory that was never installed
        from paddlesrv.models.signature import read_signature

        names = read_signature(model.root, spec.program or "").files
        digests = {name: sha256(model.root / name) for name in names}
    tensors = [(t.name, t.dtype, t.shape, t.batching) for t in (*spec.inputs, *spec.outputs)]
    whole = msgspec.json.encode((digests, tensors), order="sorted")
    return hashlib.sha256(whole).hexdigest()[:_NAME_CHARACTERS]
