"""What the machine has: its processor and its GPUs. Nothing is imported or started to find out."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

CPUINFO = Path("/proc/cpuinfo")
_NVML = "libnvidia-ml.so.1"
_TEXT_BYTES = 96
_FEATURES = (
    "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_int8", "amx_bf16", "asimd", "bf16", "sve",
)  # fmt: skip


class Cpu(msgspec.Struct, frozen=True):
    """The processor; `cores` are those that this process may use, `features` those that matter."""

    name: str
    cores: int
    features: tuple[str, ...]


class Gpu(msgspec.Struct, frozen=True):
    """One GPU, by the index that an engine knows it by."""

    index: int
    name: str
    memory_bytes: int
    uuid: str


class Gpus(msgspec.Struct, frozen=True):
    """The GPUs that this process may use; `driver` is None where no NVIDIA driver answers."""

    driver: str | None
    devices: tuple[Gpu, ...] = ()


def read_cpu(path: Path = CPUINFO) -> Cpu:
    """The processor, from /proc/cpuinfo; without that file, what Python knows."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    have = set(flags[1].split()) if flags else set()
    return Cpu(
        name=name[1].strip() if name else platform.processor() or platform.machine(),
        cores=_usable_cores(),
        features=tuple(feature for feature in _FEATURES if feature in have),
    )


def read_gpus(environ: Mapping[str, str] = os.environ) -> Gpus:
    """The NVIDIA GPUs that NVML lists and CUDA_VISIBLE_DEVICES leaves, in CUDA's numbering."""
    try:
        nvml = ctypes.CDLL(_NVML)
        if nvml.nvmlInit_v2() != 0:
            return Gpus(None)
    except (OSError, AttributeError):
        return Gpus(None)
    try:
        return Gpus(_driver(nvml), visible(_devices(nvml), environ.get("CUDA_VISIBLE_DEVICES")))
    finally:
        nvml.nvmlShutdown()


def has_tensorrt() -> bool:
    """Whether TensorRT's library can be found: installed for all, or as the package of NVIDIA."""
    try:
        if importlib.util.find_spec("tensorrt_libs") is not None:
            return True
    except (ImportError, ValueError):
        pass
    return ctypes.util.find_library("nvinfer") is not None


def visible(devices: tuple[Gpu, ...], selection: str | None) -> tuple[Gpu, ...]:
    """Devices as CUDA numbers them under CUDA_VISIBLE_DEVICES; the first unknown one ends it.

    Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    if selection is None:
        return devices
    chosen: list[Gpu] = []
    for word in selection.split(","):
        match = [gpu for gpu in devices if _is(gpu, word.strip())]
        if len(match) != 1 or any(gpu.uuid == match[0].uuid for gpu in chosen):
            break
        chosen.append(msgspec.structs.replace(match[0], index=len(chosen)))
    return tuple(chosen)


def _is(gpu: Gpu, word: str) -> bool:
    if word.startswith("GPU-"):
        return gpu.uuid.startswith(word)
    return word.isdecimal() and int(word) == gpu.index


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _Memory(ctypes.Structure):
    # nvmlMemory_t
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def _driver(nvml: ctypes.CDLL) -> str:
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    return text.value.decode() if nvml.nvmlSystemGetDriverVersion(text, _TEXT_BYTES) == 0 else "?"


def _devices(nvml: ctypes.CDLL) -> tuple[Gpu, ...]:
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return ()
    found = []
    for index in range(count.value):
        handle, memory = ctypes.c_void_p(), _Memory()
        name, uuid = (ctypes.create_string_buffer(_TEXT_BYTES) for _ in range(2))
        if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
            continue
        nvml.nvmlDeviceGetName(handle, name, ctypes.c_uint(_TEXT_BYTES))
        nvml.nvmlDeviceGetUUID(handle, uuid, ctypes.c_uint(_TEXT_BYTES))
        nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
        found.append(Gpu(index, name.value.decode(), memory.total, uuid.value.decode()))
    return tuple(found)
