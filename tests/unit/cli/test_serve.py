"""`serve` up to its start: what is refused, in which order, and what `--dry-run` tells."""

import socket
from contextlib import closing

import pytest

from paddlesrv.engines import devices
from paddlesrv.engines.builds import Build
from paddlesrv.engines.devices import Machine
from paddlesrv.engines.hardware import Cpu, Gpu, Gpus
from tests.standins import linear

CPU_ONLY = Machine(
    (Build("paddle", "paddlepaddle", "3.3.1"), Build("onnxruntime", "onnxruntime", "1.20.0")),
    Cpu("a CPU", 4, ("avx2",)),
    Gpus(None),
)
TWO_GPUS = Machine(
    (Build("paddle", "paddlepaddle-gpu", "3.3.1", "12.6"),),
    Cpu("a CPU", 4, ("avx2",)),
    Gpus("570.1", tuple(Gpu(i, "NVIDIA H200", 139 << 30, f"GPU-{i}") for i in range(2))),
)


@pytest.fixture
def cpu_only(monkeypatch):
    """A machine without a GPU and with paddlepaddle for the CPU."""
    monkeypatch.setattr(devices, "describe", lambda: CPU_ONLY)


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two GPUs and with paddlepaddle for them."""
    monkeypatch.setattr(devices, "describe", lambda: TWO_GPUS)


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_gpu_that_is_not_there_is_refused_with_what_to_do_instead(cpu_only, home, paddlesrv):
    ended = paddlesrv("serve", "resnet50", "--gpu", "0", "--precision", "fp16")
    assert ended.code == 6
    assert ended.out == ""
    assert ended.err == (
        "resnet50 -> ResNet50_vd (alias)\n"
        "error: GPU 0 is not available: the installed paddlepaddle has no CUDA support\n"
        "  found    paddlepaddle 3.3.1 (cpu)\n"
        "  wanted   --gpu 0 --precision fp16\n"
        "\n"
        "hint: run it on the CPU: paddlesrv serve resnet50 --cpu\n"
        "hint: check the machine: paddlesrv doctor --group gpu\n"
    )
    assert not home.exists()  # nothing was fetched before the refusal


def test_a_device_in_a_config_file_is_checked_alike(cpu_only, tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    path.write_text("models: [{name: ocr, device: 'gpu:1'}]")
    ended = paddlesrv("serve", "--config", str(path))
    assert ended.code == 6
    assert f"hint: run it on the CPU: paddlesrv serve --config {path} --cpu" in ended.err


def test_a_port_in_use_is_refused_before_anything_is_fetched(cpu_only, taken, home, paddlesrv):
    ended = paddlesrv("serve", "ocr", "--port", str(taken))
    assert ended.code == 7
    assert f"error: port {taken} on 127.0.0.1 is in use" in ended.err
    assert "hint: take any free port: paddlesrv serve ocr --port 0" in ended.err
    assert not home.exists()


def test_the_device_is_looked_at_before_the_port(cpu_only, taken, paddlesrv):
    assert paddlesrv("serve", "ocr", "--gpu", "0", "--port", str(taken)).code == 6


def test_offline_a_model_that_is_not_here_is_refused(cpu_only, paddlesrv, monkeypatch):
    assert paddlesrv("serve", "lac", "--port", "0", "--offline").code == 4
    monkeypatch.setenv("PADDLESRV_OFFLINE", "1")
    assert paddlesrv("serve", "lac", "--port", "0").code == 4


def test_a_dry_run_tells_the_plan_and_fetches_nothing(cpu_only, home, paddlesrv):
    arguments = ("serve", "PP-OCRv4", "--port", "0", "--instances", "2", "--dry-run")
    ended = paddlesrv(*arguments)
    assert ended.code == 0
    assert ended.err == "PP-OCRv4 -> ocr (alias)\n"
    assert ended.out.splitlines() == [
        "model    ocr, would be fetched",
        "device   cpu a CPU, fp32, the fastest engine that answers right, found at the first start",
        "would serve http://127.0.0.1:0 as PP-OCRv4",
    ]
    plan = paddlesrv(*arguments, "--json").document
    assert plan["models"][0]["name"] == "ocr"
    assert plan["models"][0]["instances"] == 2
    assert plan["missing"] == ["ocr"]
    assert not home.exists()


def test_models_take_turns_on_the_gpus(two_gpus, paddlesrv):
    ended = paddlesrv("serve", "ocr", "lac", "resnet50", "--gpu", "0,1", "--precision", "fp16",
                      "--port", "0", "--dry-run", "--json")  # fmt: skip
    models = ended.document["models"]
    assert [model["device"] for model in models] == ["gpu:0", "gpu:1", "gpu:0"]
    assert {model["precision"] for model in models} == {"fp16"}


def test_flags_go_before_the_file_and_the_file_before_defaults(cpu_only, tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    path.write_text("{models: [{name: ocr, max_queue: 7, timeout_s: 5}], port: 0, host: 127.0.0.1}")
    ended = paddlesrv("serve", "--config", str(path), "--max-queue", "9", "--dry-run", "--json")
    (model,) = ended.document["models"]
    assert (model["max_queue"], model["timeout_s"], model["instances"]) == (9, 5.0, 1)
    assert ended.document["url"] == "http://127.0.0.1:0"


def test_bare_serve_takes_the_file_that_lies_here(cpu_only, paddlesrv):
    assert paddlesrv("config", "gen", "lac", "--port", "0", "-o", "paddlesrv.yaml").code == 0
    ended = paddlesrv("serve", "--dry-run", "-q")
    assert (ended.code, ended.out) == (0, "lac\n")


def test_a_place_in_a_bad_file_is_named(tmp_path, paddlesrv):
    path = tmp_path / "served.yaml"
    path.write_text("models: [{name: ocr, precision: fp8}]")
    ended = paddlesrv("serve", "--config", str(path))
    assert ended.code == 2
    assert f"error: models[0].precision in {path} is not accepted" in ended.err
    assert "fp32, fp16, bf16 or int8" in ended.err


def test_a_directory_is_served_under_its_own_name(cpu_only, tmp_path, paddlesrv):
    directory = tmp_path / "here" / "my model"
    linear.write_onnx(directory)
    for word in (str(directory), "./my model", "my model"):
        ended = paddlesrv("serve", word, "--port", "0", "--dry-run", "--json")
        assert ended.code == 0
        assert ended.document["models"][0]["name"] == "my-model"
        assert ended.document["engines"] == {"my-model": "onnxruntime"}
        assert ended.document["missing"] == []


def test_a_name_of_the_catalogue_is_not_taken_for_a_directory(cpu_only, tmp_path, paddlesrv):
    (tmp_path / "here" / "ocr").mkdir()
    plan = paddlesrv("serve", "ocr", "--port", "0", "--dry-run", "--json").document
    assert plan["missing"] == ["ocr"]


def test_a_path_without_a_model_is_not_found(cpu_only, tmp_path, paddlesrv):
    assert paddlesrv("serve", "./nothing").code == 3
    (tmp_path / "here" / "empty").mkdir()
    ended = paddlesrv("serve", "./empty", "--port", "0")
    assert ended.code == 5
    assert "error: no model was found in" in ended.err
