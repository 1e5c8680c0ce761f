"""Records as `tune` would write them, of models whose files are a few bytes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from paddlesrv.engines.builds import Build
from paddlesrv.engines.devices import Machine
from paddlesrv.engines.hardware import Cpu, Gpu, Gpus
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Row, Wishes
from paddlesrv.tuning.record import Place, Tuned

BUILDS = (
    Build("paddle", "paddlepaddle", "3.3.1"),
    Build("onnxruntime", "onnxruntime", "1.20.0"),
)
MACHINE = Machine(BUILDS, Cpu("a CPU", 4, ("avx2",)), Gpus(None))
OTHERS = {
    "another CPU": Machine(BUILDS, Cpu("another CPU", 4, ("avx2",)), Gpus(None)),
    "fewer cores": Machine(BUILDS, Cpu("a CPU", 2, ("avx2",)), Gpus(None)),
    "another version": Machine(
        (BUILDS[0], Build("onnxruntime", "onnxruntime", "1.21.0")), MACHINE.cpu, Gpus(None)
    ),
    "an engine less": Machine(BUILDS[:1], MACHINE.cpu, Gpus(None)),
}
WITH_GPU = Machine(BUILDS, MACHINE.cpu, Gpus("570.1", (Gpu(0, "NVIDIA H200", 139 << 30, "GPU-0"),)))
DEFAULT = Candidate(engine="paddle", threads=4, max_batch_size=32)
CHOSEN = Candidate(engine="onnxruntime", threads=2, instances=2, max_batch_size=8, max_delay_ms=1.0)


def model(name: str = "linear", content: str = "1", **more: Any) -> LocalModel:
    """A network whose files have these digests; nothing of it lies anywhere."""
    values: dict[str, Any] = {"task": "tensors", "format": "onnx", "program": "model.onnx"}
    spec = ModelSpec(name=name, **(values | {"digests": {"model.onnx": content * 64}} | more))
    return LocalModel(spec, Path("/nonexistent"))


def record(of: LocalModel, **more: Any) -> Tuned:
    """What was found for it on `MACHINE`."""
    values: dict[str, Any] = {
        "model": of.spec.name,
        "target": of.spec.name,
        "place": Place.here("cpu", MACHINE),
        "wishes": Wishes(concurrency=16),
        "chosen": CHOSEN,
        "default": DEFAULT,
        "gain": 1.7,
        "noise": 0.05,
        "why": "1.70 times what is served now, noise 5%",
        "table": (
            Row(candidate=CHOSEN, rounds=3, rate=170.0, p50_ms=5.0, p99_ms=9.0, ratio=1.7),
            Row(candidate=DEFAULT, rounds=3, rate=100.0, p50_ms=9.0, p99_ms=12.0, ratio=1.0),
        ),
        "when": datetime(2026, 11, 23, 12, 30, tzinfo=timezone.utc),
        "seconds": 60.0,
    }
    return Tuned(**(values | more))
