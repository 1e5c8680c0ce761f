"""Checks of the machine: Python, the engines, GPUs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from paddlesrv.doctor.finding import Finding
from paddlesrv.engines.devices import CAPABILITIES, ENGINES, EXTRA, NEEDS, Machine, describe
from paddlesrv.settings import Settings

PYTHONS = ((3, 10), (3, 13))
"""The first and the last Python that paddlesrv is made for."""


def check_python(_: Settings) -> Iterator[Finding]:
    """The interpreter and the system under it."""
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


def check_engines(_: Settings) -> Iterator[Finding]:
    """What can run networks here, and on what processor."""
    machine = describe()
    for engine in ENGINES:
        build = machine.build(engine)
        if build is not None:
            yield Finding(group="engines", status="ok", text=f"{engine}: {build}")
            continue
        if engine in EXTRA:
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


def check_gpu(_: Settings) -> Iterator[Finding]:
    """GPUs, their driver, and whether an engine can use them."""
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


def check_precision(_: Settings) -> Iterator[Finding]:
    """What each engine computes in where, and why not here where it does not."""
    machine = describe()
    for rule in CAPABILITIES:
        lacking = machine.lacks(rule)
        needs = f" ({NEEDS[rule.needs]})" if rule.needs else ""
        yield Finding(
            group="precision",
            status="ok" if lacking is None else "off",
            text=f"{rule}{needs if lacking is None else ': ' + lacking}",
        )
