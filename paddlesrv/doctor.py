"""What `doctor` looks at: whether this machine can fetch and serve models, and what would help.

Each check looks and changes nothing, and opens no connection to the outside.
"""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from paddlesrv.engines.devices import ENGINES, Machine, describe
from paddlesrv.errors import PaddlesrvError
from paddlesrv.server.config import ServerConfig
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.network import mask
from paddlesrv.zoo.store import Store

Status = Literal["ok", "warn", "fail"]

PYTHONS = ((3, 10), (3, 13))
"""The first and the last Python that paddlesrv is made for."""
DISK_FAIL_BYTES = 1_000_000_000
DISK_WARN_BYTES = 5_000_000_000
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
SHARED_MEMORY_WARN_BYTES = 256_000_000
"""Containers get 64 MB unless told otherwise; batches of pictures travel through it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check; `remedy` says what to do unless it is ok."""

    group: str
    status: Status
    text: str
    remedy: str | None = None


def default_address() -> tuple[str, int]:
    """Where a server listens unless it is told otherwise."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(ServerConfig)}
    return str(defaults["host"]), int(defaults["port"])


def examine(settings: Settings, groups: tuple[str, ...] = ()) -> Iterator[Finding]:
    """The findings of some groups of checks, or of all of them, as they are made."""
    for group in groups or tuple(GROUPS):
        yield from GROUPS[group](settings)


def _python(_: Settings) -> Iterator[Finding]:
    first, last = (".".join(map(str, version)) for version in PYTHONS)
    good = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    yield Finding(
        group="python",
        status="ok" if good else "fail",
        text=f"Python {platform.python_version()} at {sys.executable}",
        remedy=None if good else f"use Python {first} to {last}",
    )
    linux = sys.platform.startswith("linux")
    yield Finding(
        group="python",
        status="ok" if linux else "warn",
        text=platform.platform(),
        remedy=None if linux else "serve from Linux, or from its container; others are not tested",
    )


def _engines(_: Settings) -> Iterator[Finding]:
    machine = describe()
    for engine in ENGINES:
        build = machine.build(engine)
        if build is not None:
            yield Finding(group="engines", status="ok", text=f"{engine}: {build}")
            continue
        needed = engine == "paddle"
        yield Finding(
            group="engines",
            status="fail" if needed else "warn",
            text=f"{engine} is not installed",
            remedy=f"pip install {'paddlepaddle' if needed else engine}",
        )
    cpu = machine.cpu
    fast = not cpu.features or {"avx2", "asimd"} & set(cpu.features)
    precisions = [rule.precision for rule in machine.possible() if rule.device == "cpu"]
    yield Finding(
        group="engines",
        status="ok" if fast else "warn",
        text=f"cpu: {cpu.name}, {cpu.cores} cores, {', '.join(dict.fromkeys(precisions)) or '-'}",
        remedy=None if fast else "take a processor with AVX2; without it networks run slowly",
    )


def _gpu(_: Settings) -> Iterator[Finding]:
    machine = describe()
    build = machine.build("paddle")
    with_cuda = build is not None and build.cuda is not None
    for device in machine.gpus.devices:
        memory = f"{device.memory_bytes / 2**30:.0f} GiB"
        yield Finding(group="gpu", status="ok", text=f"gpu:{device.index} {device.name}, {memory}")
    yield _cuda(machine, with_cuda)


def _cuda(machine: Machine, with_cuda: bool) -> Finding:
    driver, devices = machine.gpus.driver, machine.gpus.devices
    build = machine.build("paddle") or "no paddlepaddle"
    if driver is None and not with_cuda:
        text, remedy = "no NVIDIA driver: models run on the CPU", None
    elif driver is None:
        text = f"{build} has CUDA, but no NVIDIA driver answers"
        remedy = "install the driver, or start the container with --gpus all"
    elif not devices:
        text = f"driver {driver}, but no GPU that this process may use"
        remedy = "check CUDA_VISIBLE_DEVICES"
    elif not with_cuda:
        text = f"driver {driver}, but {build} has no CUDA support"
        remedy = "install paddlepaddle-gpu in place of paddlepaddle"
    else:
        text, remedy = f"driver {driver}, {build}", None
    return Finding(group="gpu", status="warn" if remedy else "ok", text=text, remedy=remedy)


def _disk(settings: Settings) -> Iterator[Finding]:
    place = _existing(settings.cache_dir)
    free = shutil.disk_usage(place).free
    status: Status = "ok"
    if free < DISK_WARN_BYTES:
        status = "fail" if free < DISK_FAIL_BYTES else "warn"
    yield Finding(
        group="disk",
        status=status,
        text=f"{free / 1e9:.1f} GB free for models at {place}",
        remedy=None if status == "ok" else "make room, or set PADDLESRV_HOME to a larger disk",
    )
    if SHARED_MEMORY.is_dir():
        shared = shutil.disk_usage(SHARED_MEMORY).total
        enough = shared >= SHARED_MEMORY_WARN_BYTES
        yield Finding(
            group="disk",
            status="ok" if enough else "warn",
            text=f"{shared / 1e6:.0f} MB of shared memory at {SHARED_MEMORY}",
            remedy=None if enough else "start the container with --shm-size 1g",
        )


def _ports(_: Settings) -> Iterator[Finding]:
    host, port = default_address()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            yield Finding(
                group="ports",
                status="warn",
                text=f"port {port} on {host} cannot be taken: {error.strerror}",
                remedy="stop what listens there, or: paddlesrv serve MODEL --port 0",
            )
            return
    yield Finding(group="ports", status="ok", text=f"port {port} on {host} is free")


def _store(settings: Settings) -> Iterator[Finding]:
    import os

    root = settings.cache_dir
    writable = os.access(_existing(root), os.W_OK)
    yield Finding(
        group="store",
        status="ok" if writable else "warn",
        text=f"{root} {'can' if writable else 'cannot'} be written",
        remedy=None if writable else "set PADDLESRV_HOME to a directory of yours to fetch models",
    )
    store, count = Store(root), 0
    found = sorted(store.models_dir.iterdir()) if store.models_dir.is_dir() else []
    for name in (path.name for path in found if not path.name.startswith(".")):
        try:
            installed = store.installed(name)
            if installed is None:
                raise PaddlesrvError(f"{name} is not complete")
            absent = [f for f in installed.spec.digests if not (installed.directory / f).is_file()]
            if absent:
                raise PaddlesrvError(f"{name} lacks {', '.join(absent)}")
        except PaddlesrvError as error:
            remedy = f"paddlesrv get {name} --force"
            yield Finding(group="store", status="fail", text=error.message, remedy=remedy)
        else:
            count += 1
    yield Finding(
        group="store",
        status="ok",
        text=f"{count} model{'s' if count != 1 else ''} installed",
    )


def _sources(settings: Settings) -> Iterator[Finding]:
    try:
        catalogue = Catalogue.load(settings.catalogue)
    except PaddlesrvError as error:
        remedy = error.hints[0] if error.hints else None
        yield Finding(group="sources", status="fail", text=error.message, remedy=remedy)
    else:
        text = f"catalogue {catalogue.revision} with {len(catalogue.entries)} models"
        yield Finding(group="sources", status="ok", text=text)
    if settings.offline:
        text = "offline: only what is installed can be served"
        yield Finding(group="sources", status="ok", text=text)
    for variable, place in (
        ("PADDLESRV_MIRROR", settings.mirror),
        ("PADDLESRV_INDEX_URL", settings.index_url),
    ):
        if place is not None:
            yield _place(variable, place, directories=variable == "PADDLESRV_MIRROR")


def _place(variable: str, place: str, *, directories: bool) -> Finding:
    """Whether an address of the settings can be one at all; nobody is asked."""
    parts = urlsplit(place)
    text, remedy = f"{variable} is {mask(place)}", None
    status: Status = "ok"
    if parts.scheme in ("https", "file"):
        pass
    elif parts.scheme == "http":
        status, remedy = "warn", "use https where the network is not your own"
    elif not directories or parts.scheme or not Path(place).expanduser().is_dir():
        kind = "neither an address nor a directory" if directories else "no address"
        status, text = "fail", f"{text}, {kind}"
        remedy = f"correct or unset {variable}"
    return Finding(group="sources", status=status, text=text, remedy=remedy)


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


GROUPS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "python": _python,
    "engines": _engines,
    "gpu": _gpu,
    "disk": _disk,
    "ports": _ports,
    "store": _store,
    "sources": _sources,
}
"""The groups of checks, in the order in which they are made."""
