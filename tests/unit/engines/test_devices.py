"""What can run where, and how a refusal reads."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from paddlesrv.engines import builds, hardware
from paddlesrv.engines.base import Device, EngineOptions
from paddlesrv.engines.builds import Build
from paddlesrv.engines.devices import CAPABILITIES, ENGINES, Machine, check, describe
from paddlesrv.engines.hardware import Cpu, Gpu, Gpus
from paddlesrv.errors import DeviceUnavailable

COMMAND = "paddlesrv serve resnet50"
CPU = Cpu("Some CPU", 8, ("avx2",))
BF16_CPU = Cpu("Some CPU", 8, ("avx2", "avx512_bf16"))
EVERY_CPU = Cpu("Some CPU", 8, ("avx2", "avx512_vnni", "avx512_bf16"))
PADDLE = Build("paddle", "paddlepaddle", "3.3.1")
PADDLE_GPU = Build("paddle", "paddlepaddle-gpu", "3.3.1", "12.6")
ORT = Build("onnxruntime", "onnxruntime", "1.20.0")
OPENVINO = Build("openvino", "openvino", "2025.0")
ORT_GPU = Build("onnxruntime", "onnxruntime-gpu", "1.20.0", "12.4", tensorrt=True)
PADDLE_TRT = Build("paddle", "paddlepaddle-gpu", "3.3.1", "12.6", tensorrt=True)
H200 = Gpu(0, "NVIDIA H200", 139 << 30, "GPU-aaaa")
CPU_ONLY = Machine((PADDLE, ORT), CPU, Gpus(None))
WITH_GPU = Machine((PADDLE_GPU, ORT_GPU), CPU, Gpus("560.1", (H200,)))
GPU_0 = Device("gpu", 0)


def refusal(options: EngineOptions, machine: Machine) -> DeviceUnavailable:
    with pytest.raises(DeviceUnavailable) as caught:
        check(options, COMMAND, machine)
    return caught.value


def test_a_gpu_on_a_cpu_build_is_refused_word_for_word():
    error = refusal(EngineOptions(device=GPU_0, precision="fp16"), CPU_ONLY)
    assert error.exit_code == 6
    assert error.message == "GPU 0 is not available: the installed paddlepaddle has no CUDA support"
    assert error.context == {
        "found": "paddlepaddle 3.3.1 (cpu)",
        "wanted": "--gpu 0 --precision fp16",
    }
    assert error.hints == (
        "run it on the CPU: paddlesrv serve resnet50 --cpu",
        "check the machine: paddlesrv doctor --group gpu",
    )


def test_a_gpu_without_a_driver_is_refused():
    machine = Machine((PADDLE_GPU,), CPU, Gpus(None))
    error = refusal(EngineOptions(device=GPU_0), machine)
    assert error.message == "GPU 0 is not available: no NVIDIA driver answers"
    assert error.context["found"] == "paddlepaddle-gpu 3.3.1 (cuda 12.6)"


def test_a_gpu_beyond_the_last_is_refused():
    error = refusal(EngineOptions(device=Device("gpu", 3)), WITH_GPU)
    assert error.message == "GPU 3 is not available: the only one is GPU 0"


def test_an_engine_that_is_not_installed_is_refused_with_its_package():
    error = refusal(EngineOptions(engine="onnxruntime"), Machine((PADDLE,), CPU, Gpus(None)))
    assert error.message == "the engine onnxruntime is not installed"
    assert error.hints == ('install it: pip install "onnxruntime"',)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("paddle", "fp16"), ("paddle", "bf16"), ("paddle", "int8"), ("onnxruntime", "fp16"),
     ("onnxruntime", "bf16")],
)  # fmt: skip
def test_a_precision_that_this_cpu_lacks_is_refused_with_one_that_works(engine, precision):
    error = refusal(EngineOptions(engine=engine, precision=precision), CPU_ONLY)
    assert error.message == f"{precision} is not available with the engine {engine} on the CPU"
    flag = "" if engine == "paddle" else " --engine onnxruntime"
    assert f"use fp32: {COMMAND} --cpu --precision fp32{flag}" in error.hints


def test_int8_asked_of_paddle_on_the_cpu_points_to_onnxruntime():
    error = refusal(EngineOptions(precision="int8"), CPU_ONLY)
    assert f"use onnxruntime: {COMMAND} --cpu --precision int8 --engine onnxruntime" in error.hints
    assert error.context["why"] == "the processor has no avx512_vnni or amx_int8"


def test_fp16_asked_of_the_cpu_points_to_a_gpu_that_is_there():
    error = refusal(EngineOptions(precision="fp16"), WITH_GPU)
    assert f"use a GPU: {COMMAND} --gpu 0 --precision fp16" in error.hints


def test_bf16_is_there_where_the_processor_has_it():
    options = EngineOptions(precision="bf16")
    assert check(options, COMMAND, Machine((PADDLE,), BF16_CPU, Gpus(None))).precision == "bf16"
    assert "avx2" in refusal(options, CPU_ONLY).context["cpu"]


MACHINES = {
    "cpu": CPU_ONLY,
    "gpu": WITH_GPU,
    "everything": Machine(
        (PADDLE_TRT, ORT_GPU, OPENVINO), EVERY_CPU, Gpus("560.1", (H200,)), tensorrt=True
    ),
    "tensorrt-without-its-library": Machine((PADDLE_TRT, ORT_GPU), CPU, Gpus("560.1", (H200,))),
    "driver-without-cuda": Machine((PADDLE, ORT), BF16_CPU, Gpus("560.1", (H200,))),
    "paddle-alone": Machine((PADDLE,), CPU, Gpus(None)),
    "onnxruntime-alone": Machine((ORT,), CPU, Gpus(None)),
    "nothing": Machine((), CPU, Gpus(None)),
}
WISHES = [
    EngineOptions(engine=engine, device=Device(kind), precision=precision, tensorrt=tensorrt)
    for engine in ENGINES
    for kind in ("cpu", "gpu")
    for precision in ("fp32", "fp16", "bf16", "int8")
    for tensorrt in (False, True)
]


def _wish(words: list[str]) -> EngineOptions:
    """What the flags of a hint ask for."""
    following = dict(itertools.pairwise(words))
    return EngineOptions(
        engine=following.get("--engine", "paddle"),
        device=Device("gpu", int(following["--gpu"])) if "--gpu" in words else Device(),
        precision=following.get("--precision", "fp32"),
        tensorrt="--tensorrt" in words,
    )


@pytest.mark.parametrize("name", MACHINES)
def test_every_combination_is_taken_or_refused_with_commands_that_would_be_taken(name):
    machine = MACHINES[name]
    for wish in WISHES:
        held = [
            rule
            for rule in CAPABILITIES
            if (rule.engine, rule.device, rule.precision, rule.tensorrt)
            == (wish.engine, wish.device.kind, wish.precision, wish.tensorrt)
            and machine.lacks(rule) is None
        ]
        if held:
            assert check(wish, COMMAND, machine).precision == wish.precision
            continue
        error = refusal(wish, machine)
        assert error.exit_code == 6
        assert error.hints, wish
        for hint in error.hints:
            command = hint.partition(": ")[2]
            if command.startswith(COMMAND):
                assert check(_wish(command.split()), COMMAND, machine), (wish, hint)


def test_everything_in_the_table_is_possible_somewhere():
    machine = MACHINES["everything"]
    assert [rule for rule in CAPABILITIES if rule not in machine.possible()] == []


def test_no_two_rows_of_the_table_are_of_the_same_combination():
    keys = [(r.engine, r.device, r.precision, r.tensorrt) for r in CAPABILITIES]
    assert len(set(keys)) == len(keys)


def test_tensorrt_that_is_not_there_is_said_to_be_missing():
    options = EngineOptions(device=GPU_0, precision="fp16", tensorrt=True)
    error = refusal(options, MACHINES["tensorrt-without-its-library"])
    assert error.context["why"] == "TensorRT's library (libnvinfer) is not there"
    assert error.context["wanted"] == "--gpu 0 --precision fp16 --tensorrt"
    error = refusal(options, WITH_GPU)
    assert error.context["why"] == "paddlepaddle-gpu is built without TensorRT"
    assert f"use fp16: {COMMAND} --gpu 0 --precision fp16" in error.hints


def test_tensorrt_on_the_cpu_is_refused():
    error = refusal(EngineOptions(tensorrt=True), CPU_ONLY)
    assert error.context["why"] == "TensorRT runs networks on GPUs alone"


def test_a_gpu_that_is_there_is_described():
    info = check(EngineOptions(device=GPU_0, precision="fp16"), COMMAND, WITH_GPU)
    assert (info.name, info.memory_bytes) == ("NVIDIA H200", 139 << 30)
    assert str(info.build) == "paddlepaddle-gpu 3.3.1 (cuda 12.6)"


# -- finding out --------------------------------------------------------------------------------


def test_this_machine_is_described_without_importing_an_engine():
    code = (
        "import sys\n"
        "from paddlesrv.engines.devices import check, describe\n"
        "from paddlesrv.engines.base import EngineOptions\n"
        "check(EngineOptions()), describe()\n"
        "sys.exit(bool({'paddle', 'onnxruntime', 'numpy'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_installed_engines_are_found_with_their_versions():
    import importlib.metadata

    for build in describe().engines:
        assert importlib.metadata.version(build.distribution) == build.version


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("paddle", "full_version = '3.3.1'\ncuda_version     = 'False'\n", PADDLE),
        ("paddle", "full_version = '3.3.1'\ncuda_version     = '12.6'\n", PADDLE_GPU),
        ("onnxruntime", "package_name = 'onnxruntime'\n__version__ = '1.20.0'\n", ORT),
        (
            "onnxruntime",
            "package_name = 'onnxruntime-gpu'\n__version__ = '1.20.0'\ncuda_version = '12.4'\n",
            ORT_GPU,
        ),
    ],
)
def test_a_build_is_known_from_its_own_version_file(engine, text, expected):
    name = "full_version" if engine == "paddle" else "__version__"
    assert builds.parse_build(engine, text, name) == expected


def test_the_processor_is_read_from_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\n")
    cpu = hardware.read_cpu(path)
    assert (cpu.name, cpu.features) == ("Some CPU", ("avx2", "avx512_bf16", "amx_bf16"))
    assert cpu.cores >= 1


def test_a_machine_without_cpuinfo_still_has_a_processor(tmp_path):
    assert hardware.read_cpu(tmp_path / "nothing").features == ()


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["A", "B"]),
        ("", []),
        ("1", ["B"]),
        ("1,0", ["B", "A"]),
        ("GPU-b", ["B"]),
        ("1,7,0", ["B"]),
        ("-1", []),
    ],
)
def test_gpus_are_numbered_as_cuda_numbers_them(selection, names):
    devices = (Gpu(0, "A", 1, "GPU-aaaa"), Gpu(1, "B", 1, "GPU-bbbb"))
    chosen = hardware.visible(devices, selection)
    assert [gpu.name for gpu in chosen] == names
    assert [gpu.index for gpu in chosen] == list(range(len(names)))
