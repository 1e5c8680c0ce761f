"""Rules for devices and precision: what can run where, and the refusal of what cannot.

`CAPABILITIES` is the whole of the rules. What it does not list is refused before anything starts:
there is no silent fallback to another device, precision or engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from paddlesrv.engines.base import Device, EngineName, EngineOptions, Precision
from paddlesrv.engines.builds import Build, distribution, find_build
from paddlesrv.engines.hardware import Cpu, Gpu, Gpus, has_tensorrt, read_cpu, read_gpus
from paddlesrv.errors import DeviceUnavailable

ENGINES: tuple[EngineName, ...] = ("paddle", "onnxruntime", "openvino")
EXTRA: frozenset[EngineName] = frozenset({"openvino"})
"""Engines that come with an extra of paddlesrv, and that nobody misses otherwise."""


Need = Literal["calibration", "quantised"]
"""What a model must have before: an int8 form that was made of it here, or be one as it came."""


NEEDS: Mapping[Need, str] = {
    "calibration": "once quantised with your own inputs",
    "quantised": "for models that come quantised",
}


class Capability(NamedTuple):
    """An engine computes in a precision on a kind of device, with TensorRT or without it.

    `any_feature`: the processor must have one of these, by its names in /proc/cpuinfo. `needs` is
    what the model must have; it is looked for when the model is loaded. `note` is for the docs.
    """

    engine: EngineName
    device: Literal["cpu", "gpu"]
    precision: Precision
    any_feature: tuple[str, ...] = ()
    tensorrt: bool = False
    needs: Need | None = None
    note: str = ""

    def __str__(self) -> str:
        trt = " with TensorRT" if self.tensorrt else ""
        return f"{self.engine} {self.device} {self.precision}{trt}"


CAPABILITIES = (
    Capability("paddle", "cpu", "fp32"),
    Capability(
        "paddle", "cpu", "bf16", ("avx512_bf16", "amx_bf16"),
        note="without these, oneDNN would take the setting and go on in fp32",
    ),
    Capability(
        "paddle", "cpu", "int8", ("avx512_vnni", "amx_int8"), needs="quantised",
        note="the models that PaddleSlim quantised (PACT, KL)",
    ),
    Capability("paddle", "gpu", "fp32"),
    Capability("paddle", "gpu", "fp16"),
    Capability("paddle", "gpu", "fp32", tensorrt=True),
    Capability("paddle", "gpu", "fp16", tensorrt=True),
    Capability(
        "paddle", "gpu", "int8", tensorrt=True, needs="quantised",
        note="the models that PaddleSlim quantised (PACT, KL)",
    ),
    Capability("onnxruntime", "cpu", "fp32"),
    Capability(
        "onnxruntime", "cpu", "int8", needs="calibration",
        note="static, 8 bits per output channel; ONNX models that are quantised run as they are",
    ),
    Capability("onnxruntime", "gpu", "fp32"),
    Capability(
        "onnxruntime", "gpu", "fp16",
        note="it has no switch for it: the network is rewritten once, and kept",
    ),
    Capability("onnxruntime", "gpu", "fp32", tensorrt=True),
    Capability("onnxruntime", "gpu", "fp16", tensorrt=True),
    Capability("openvino", "cpu", "fp32"),
)  # fmt: skip
"""What can run where. A combination that no row has is refused, and the refusal names others."""

_WHY = {
    "fp16": "half precision needs a GPU",
    "bf16": "bf16 needs the engine paddle and a processor with avx512_bf16 or amx_bf16",
    "int8": "int8 needs a network that is quantised: with onnxruntime on the CPU one that was "
    "calibrated with your own inputs, with paddle one that came so",
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
    tensorrt: bool = False
    """Whether TensorRT's library is there."""

    def possible(self) -> tuple[Capability, ...]:
        """The capabilities that hold on this machine with what is installed."""
        return tuple(rule for rule in CAPABILITIES if self._holds(rule))

    def build(self, engine: EngineName) -> Build | None:
        """The installed build of an engine, if it is installed."""
        return next((build for build in self.engines if build.engine == engine), None)

    def lacks(self, rule: Capability) -> str | None:
        """Why a capability does not hold on this machine; None if it does."""
        build = self.build(rule.engine)
        if build is None:
            return f"{rule.engine} is not installed"
        if rule.device == "gpu" and not build.cuda:
            return f"{build.distribution} has no CUDA support"
        if rule.device == "gpu" and not self.gpus.devices:
            return "there is no GPU"
        if rule.tensorrt and not build.tensorrt:
            return f"{build.distribution} is built without TensorRT"
        if rule.tensorrt and not self.tensorrt:
            return "TensorRT's library (libnvinfer) is not there"
        if rule.any_feature and not set(rule.any_feature) & set(self.cpu.features):
            return f"the processor has no {' or '.join(rule.any_feature)}"
        return None

    def _holds(self, rule: Capability) -> bool:
        return self.lacks(rule) is None


def describe() -> Machine:
    """The engines and devices of this machine."""
    builds = (find_build(engine) for engine in ENGINES)
    return Machine(
        tuple(build for build in builds if build), read_cpu(), read_gpus(), has_tensorrt()
    )


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
    if not any(_answers(rule, options) for rule in machine.possible()):
        raise _not_possible(options, machine, command)
    return DeviceInfo(
        build=build,
        name=gpu.name if gpu else machine.cpu.name,
        memory_bytes=gpu.memory_bytes if gpu else 0,
        precision=options.precision,
    )


def _answers(rule: Capability, options: EngineOptions) -> bool:
    return (rule.engine, rule.device, rule.precision, rule.tensorrt) == (
        options.engine,
        options.device.kind,
        options.precision,
        options.tensorrt,
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


def _not_possible(options: EngineOptions, machine: Machine, command: str) -> DeviceUnavailable:
    """The refusal of a combination, with those that are possible: the nearest ones first."""
    where = "the CPU" if options.device.kind == "cpu" else f"GPU {options.device.index}"
    trt = " with TensorRT" if options.tensorrt else ""
    rule = next((rule for rule in CAPABILITIES if _answers(rule, options)), None)
    why = machine.lacks(rule) if rule is not None else None
    if why is None:
        cpu_trt = options.tensorrt and options.device.kind == "cpu"
        why = "TensorRT runs networks on GPUs alone" if cpu_trt else _WHY[options.precision]
    return _refusal(
        f"{options.precision} is not available with the engine {options.engine} on {where}{trt}",
        options,
        machine,
        *_others(options, machine, command),
        why=why,
    )


def _others(options: EngineOptions, machine: Machine, command: str) -> list[str]:
    """What is possible instead, as commands: this device and engine, then the same precision."""
    possible = [rule for rule in machine.possible() if rule.tensorrt in (False, options.tensorrt)]
    here = [r for r in possible if (r.device, r.engine) == (options.device.kind, options.engine)]
    same = [r for r in possible if r.precision == options.precision and r not in here]
    hints = []
    for rule in here:
        if rule.needs != "quantised":
            hints.append(f"use {rule.precision}: {command} {_words(rule, options)}")
    for rule in same:
        lead = "use a GPU" if rule.device != options.device.kind else f"use {rule.engine}"
        if rule.needs != "quantised":
            hints.append(f"{lead}: {command} {_words(rule, options)}")
    if not hints:
        hints = [
            f"use {rule.engine} on the {rule.device.upper()}: {command} {_words(rule, options)}"
            for rule in possible
            if rule.needs is None
        ]
    return hints or ["see what this machine can do: paddlesrv doctor --group precision"]


def _words(rule: Capability, options: EngineOptions) -> str:
    index = options.device.index if options.device.kind == "gpu" else 0
    meant = msgspec.structs.replace(
        options,
        engine=rule.engine,
        device=Device(rule.device, index if rule.device == "gpu" else 0),
        tensorrt=rule.tensorrt,
    )
    return _flags(meant, rule.precision)


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
    if options.tensorrt:
        words.append("--tensorrt")
    return " ".join(words)
