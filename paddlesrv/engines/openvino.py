"""The engine `openvino`: runs ONNX networks with OpenVINO. The only module that imports openvino.

It comes with the extra of the same name. A compiled network has as many threads as it was compiled
with; shapes that the file leaves open stay open, and each new one is prepared at its first run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.devices import check
from paddlesrv.engines.files import checked_files
from paddlesrv.errors import EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor

_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, MemoryError)
"""What OpenVINO's C++ exceptions become in Python; most are RuntimeError."""
_NOISE = ("Exception from ", "Check '", "While validating")


def preload() -> None:
    """Import the library, so that processes forked from this one need not."""
    import openvino  # noqa: F401


def load(spec: ModelSpec, root: Path, options: EngineOptions) -> OpenvinoEngine:
    """Load an ONNX network.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the device or precision is not there, or OpenVINO is not installed.
        EngineError: OpenVINO does not load this file, or the network takes or answers texts.
    """
    check(options)
    if spec.format != "onnx":
        raise EngineError(
            f"{spec.name} is {spec.format}; convert it before it is loaded with openvino"
        )
    files = checked_files(spec, root)
    texts = [
        t.name for t in (*files.signature.inputs, *files.signature.outputs) if t.dtype == "bytes"
    ]
    if texts:
        raise EngineError(
            f"openvino does not run {spec.name}: it knows no tensors of texts",
            context={"tensors of texts": ", ".join(texts)},
            hints=[f"run it with onnxruntime: paddlesrv serve {spec.name} --engine onnxruntime"],
        )
    return OpenvinoEngine(spec, files.program, options)


class OpenvinoEngine:
    """A compiled network and one request for it. One call at a time."""

    def __init__(self, spec: ModelSpec, program: Path, options: EngineOptions) -> None:
        """Compile the network; see `load`."""
        import openvino

        self._spec = spec
        settings = {
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # Others decide which cores a worker may use; and bf16 is never taken unasked.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            core = openvino.Core()
            network = core.compile_model(core.read_model(program), "CPU", settings)
            self._request: Any = network.create_infer_request()
        except _FAILURES as error:
            raise EngineError(
                f"openvino cannot load {spec.name}: {summary(error)}",
                context={"program": str(program)},
            ) from error
        self._inputs = [port.get_any_name() for port in network.inputs]
        ports = {name: port for port in network.outputs for name in port.get_names()}
        own = [port.get_any_name() for port in network.outputs]
        self._outputs = [tensor.name for tensor in spec.outputs] or own
        for name in self._outputs:
            if name not in ports:
                raise EngineError(
                    f"the network of {spec.name} has no output {name!r}",
                    context={"outputs": ", ".join(own)},
                )
        self._ports: dict[str, Any] = {name: ports[name] for name in self._outputs}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one batch; see `Engine.run`."""
        if self._request is None:
            raise EngineError(f"{self._spec.name} is closed")
        if set(inputs) != set(self._inputs):
            raise EngineError(
                f"{self._spec.name} takes the inputs {', '.join(self._inputs)}",
                context={"got": ", ".join(inputs) or "none"},
            )
        if any(tensor.lod is not None for tensor in inputs.values()):
            raise EngineError(f"{self._spec.name}: openvino knows no LoD tensors")
        feeds = {name: np.ascontiguousarray(tensor.data) for name, tensor in inputs.items()}
        try:
            self._request.infer(feeds, share_inputs=True)
            # Copies: the request writes its next answers over these.
            return {
                name: Tensor(np.array(self._request.get_tensor(port).data))
                for name, port in self._ports.items()
            }
        except _FAILURES as error:
            raise EngineError(f"{self._spec.name} failed: {summary(error)}") from error

    def close(self) -> None:
        """Drop the request and the compiled network, and with them their memory."""
        self._request, self._ports = None, {}


def summary(error: BaseException) -> str:
    """What an exception of OpenVINO says, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(_NOISE)]
    return (said or lines or [type(error).__name__])[0].rstrip(".")
