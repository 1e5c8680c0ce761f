"""Rules for devices and precision: what can run where, and the refusal of what cannot.

`CAPABILITIES` is the whole of the rules. What it does not list is refused before anything starts:
there is no silent fallback to another device, precision or engine.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from paddlesrv.engines.base import EngineName, EngineOptions, Precision
from paddlesrv.engines.builds import Build, distribution, find_build
from paddlesrv.engines.hardware import Cpu, Gpu, Gpus, read_cpu, read_gpus
from paddlesrv.errors import DeviceUnavailable

ENGINES: tuple[EngineName, ...] = ("paddle", "onnxruntime")


class Capability(NamedTuple):
    """An engine computes in a precision on a kind of device.

    `any_feature`: the processor must have one of these, by its names in /proc/cpuinfo.
    """

    engine: EngineName
    device: Literal["cpu", "gpu"]
    precision: Precision
    any_feature: tuple[str, ...] = ()


CAPABILITIES = (
    Capability("paddle", "cpu", "fp32"),
    # Without these, oneDNN takes the bf16 setting and goes on in fp32.
    Capability("paddle", "cpu", "bf16", ("avx512_bf16", "amx_bf16")),
    Capability("paddle", "gpu", "fp32"),
    Capability("paddle", "gpu", "fp16"),
    # ONNX Runtime computes in the types that a model was exported with; it has no switch for them.
    Capability("onnxruntime", "cpu", "fp32"),
    Capability("onnxruntime", "cpu", "int8"),
    Capability("onnxruntime", "gpu", "fp32"),
)

_WHY = {
    "fp16": "half precision needs a GPU and the engine paddle",
    "bf16": "bf16 needs the engine paddle and a processor with avx512_bf16 or amx_bf16",
    "int8": "a network must be quantised with calibration data before it can compute in int8",
    "fp32": "",
}


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A combination that is there: the engine's build, and the device by name.

    `memory_bytes` is the memory of a GPU, 0 for the CPU.
    """

    build: Build
    name: str
    precision: Precision
    memory_bytes: int = 0


class Machine(msgspec.Struct, frozen=True):
    """Everything about engines and devices that `doctor` and `version` show."""

    engines: tuple[Build, ...]
    cpu: Cpu
    gpus: Gpus

    def possible(self) -> tuple[Capability, ...]:
        """The capabilities that hold on this machine with what is installed."""
        return tuple(rule for rule in CAPABILITIES if self._holds(rule))

    def build(self, engine: EngineName) -> Build | None:
        """The installed build of an engine, if it is installed."""
        return next((build for build in self.engines if build.engine == engine), None)

    def _holds(self, rule: Capability) -> bool:
        build = self.build(rule.engine)
        if build is None or (rule.device == "gpu" and not (build.cuda and self.gpus.devices)):
            return False
        return not rule.any_feature or any(f in self.cpu.features for f in rule.any_feature)


def describe() -> Machine:
    """The engines and devices of this machine."""
    builds = (find_build(engine) for engine in ENGINES)
    return Machine(tuple(build for build in builds if build), read_cpu(), read_gpus())


def check(
    options: EngineOptions,
    command: str = "paddlesrv serve MODEL",
    machine: Machine | None = None,
) -> DeviceInfo:
    """Make sure that a network can run as asked.

    Args:
        options: What is asked for.
        command: The command so far, without flags for device, precision and engine; for hints.
        machine: The machine; by default, this one.

    Raises:
        DeviceUnavailable: the engine is not installed, the GPU is not there, or the engine does
            not compute in that precision there.
    """
    machine = machine or describe()
    build = machine.build(options.engine)
    if build is None:
        raise _refusal(
            f"the engine {options.engine} is not installed",
            options,
            machine,
            f'install it: pip install "{distribution(options.engine, cuda=False)}"',
        )
    gpu = _gpu(options, build, machine, command) if options.device.kind == "gpu" else None
    asked = (options.engine, options.device.kind, options.precision)
    if not any(rule[:3] == asked for rule in machine.possible()):
        raise _no_precision(options, machine, command)
    return DeviceInfo(
        build=build,
        name=gpu.name if gpu else machine.cpu.name,
        memory_bytes=gpu.memory_bytes if gpu else 0,
        precision=options.precision,
    )


def _gpu(options: EngineOptions, build: Build, machine: Machine, command: str) -> Gpu:
    index, devices = options.device.index, machine.gpus.devices
    if build.cuda is None:
        reason = f"the installed {build.distribution} has no CUDA support"
    elif machine.gpus.driver is None:
        reason = "no NVIDIA driver answers"
    elif not devices:
        reason = "there is none that this process may use"
    elif index >= len(devices):
        reason = "the only one is GPU 0" if len(devices) == 1 else f"0 to {len(devices) - 1} are"
    else:
        return devices[index]
    engine = "" if options.engine == "paddle" else f" --engine {options.engine}"
    raise _refusal(
        f"GPU {index} is not available: {reason}",
        options,
        machine,
        f"run it on the CPU: {command}{engine} --cpu",
        "check the machine: paddlesrv doctor --group gpu",
    )


def _no_precision(options: EngineOptions, machine: Machine, command: str) -> DeviceUnavailable:
    where = "the CPU" if options.device.kind == "cpu" else f"GPU {options.device.index}"
    hints = []
    for rule in machine.possible():
        if rule.device == options.device.kind and rule.engine == options.engine:
            hints.append(f"use {rule.precision}: {command} {_flags(options, rule.precision)}")
    if options.device.kind == "cpu" and any(
        (rule.engine, rule.device, rule.precision) == (options.engine, "gpu", options.precision)
        for rule in machine.possible()
    ):
        hints.append(f"use a GPU: {command} --gpu 0 --precision {options.precision}")
    return _refusal(
        f"{options.precision} is not available with the engine {options.engine} on {where}",
        options,
        machine,
        *hints,
        why=_WHY[options.precision],
    )


def _refusal(
    message: str, options: EngineOptions, machine: Machine, *hints: str, why: str = ""
) -> DeviceUnavailable:
    build = machine.build(options.engine)
    context = {"found": str(build) if build else "no " + distribution(options.engine, cuda=False)}
    if options.precision == "bf16" and options.device.kind == "cpu":
        context["cpu"] = f"{machine.cpu.name} ({', '.join(machine.cpu.features)})"
    context["wanted"] = _flags(options, options.precision)
    if why:
        context["why"] = why
    return DeviceUnavailable(message, context=context, hints=hints)


def _flags(options: EngineOptions, precision: Precision) -> str:
    words = ["--cpu" if options.device.kind == "cpu" else f"--gpu {options.device.index}"]
    if precision != "fp32" or options.precision != "fp32":
        words.append(f"--precision {precision}")
    if options.engine != "paddle":
        words.append(f"--engine {options.engine}")
    return " ".join(words)
