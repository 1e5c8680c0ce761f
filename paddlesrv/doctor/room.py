"""Checks of the room that there is: disks, shared memory, the port, and limits of this process."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from paddlesrv.doctor.cgroups import limits
from paddlesrv.doctor.finding import Finding, Status
from paddlesrv.errors import UsageError
from paddlesrv.server.config import usable_cores
from paddlesrv.server.defaults import Defaults, defaults
from paddlesrv.settings import Settings, read_user_file

DISK_FAIL_BYTES = 1_000_000_000
DISK_WARN_BYTES = 5_000_000_000
MEMORY_WARN_BYTES = 2_000_000_000
"""Two workers with the engine loaded and a small model each."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
SHARED_MEMORY_WARN_BYTES = 256_000_000
"""Containers get 64 MB unless told otherwise; batches of pictures travel through it."""
FILES_BESIDE_CONNECTIONS = 256
"""Files that a server has open besides connections: libraries, workers, logs."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def serve_defaults(settings: Settings) -> Defaults:
    """What a server is started with; what cannot be read is another check's matter."""
    try:
        return defaults(read_user_file(settings.user_file))
    except UsageError:
        return defaults(environ={})


def check_limits(settings: Settings) -> Iterator[Finding]:
    """Limits under which this process stands, and so would a server."""
    import resource

    cores = usable_cores()
    yield from _threads(cores)
    yield _cpu(cores)
    yield _memory()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = int(serve_defaults(settings).values["max_connections"]) + FILES_BESIDE_CONNECTIONS
    enough = files == resource.RLIM_INFINITY or files >= wanted
    yield Finding(
        group="limits",
        status="ok" if enough else "warn",
        text=f"{files if files >= 0 else 'any number of'} open files",
        remedy=None if enough else f"ulimit -n {wanted}, or fewer connections (max_connections)",
    )


def _threads(cores: int) -> Iterator[Finding]:
    for name in THREAD_VARIABLES:
        text = os.environ.get(name, "")
        if text.isdigit() and int(text) > cores:
            yield Finding(
                group="limits",
                status="warn",
                text=f"{name} is {text}, with {cores} cores to use",
                remedy=f"unset {name}: threads are divided among workers by `serve --threads`",
            )
    if os.environ.get("OMP_PROC_BIND", "false").lower() not in ("", "false"):
        yield Finding(
            group="limits",
            status="warn",
            text=f"OMP_PROC_BIND is {os.environ['OMP_PROC_BIND']}: workers share the same cores",
            remedy="unset OMP_PROC_BIND",
        )


def _cpu(cores: int) -> Finding:
    allowed = limits().cores
    if allowed is None or allowed >= cores:
        return Finding(group="limits", status="ok", text=f"{cores} cores to use")
    threads = max(1, int(allowed))
    return Finding(
        group="limits",
        status="warn",
        text=f"{cores} cores to see, but time on {allowed:g} (a container's limit)",
        remedy=f"PADDLESRV_SERVE_THREADS={threads}, or: paddlesrv serve MODEL --threads {threads}",
    )


def _memory() -> Finding:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = limits().memory_bytes
    limited = limit is not None and limit < whole
    memory = limit if limited and limit is not None else whole
    limited_by = " (a container's limit)" if limited else ""
    enough = memory >= MEMORY_WARN_BYTES
    return Finding(
        group="limits",
        status="ok" if enough else "warn",
        text=f"{memory / 1e9:.1f} GB of memory{limited_by}",
        remedy=None if enough else "give it 2 GB: an engine takes 0.3 GB, and each worker more",
    )


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Room for models, and for batches on their way to workers."""
    place = existing(settings.cache_dir)
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


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Whether a server could listen where it does unless told otherwise."""
    host, port = address(settings)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
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


def address(settings: Settings) -> tuple[str, int]:
    """Where a server listens unless it is told otherwise."""
    values = serve_defaults(settings).values
    return str(values["host"]), int(values["port"])


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
