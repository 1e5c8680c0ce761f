"""The engine `onnxruntime`: runs ONNX networks. The only module that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.devices import check
from paddlesrv.engines.files import ModelFiles, checked_files
from paddlesrv.engines.tensorrt import cache_of, provider_options, shapes
from paddlesrv.errors import DeviceUnavailable, EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor

_ERRORS_ONLY = 3


def preload() -> None:
    """Import the library, so that processes forked from this one need not."""
    import onnxruntime  # noqa: F401


def load(spec: ModelSpec, root: Path, options: EngineOptions) -> OnnxEngine:
    """Load an ONNX network.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the device or precision is not there.
        EngineError: onnxruntime does not load this file.
    """
    check(options)
    if spec.format != "onnx":
        raise EngineError(
            f"{spec.name} is {spec.format}; convert it before it is loaded with onnxruntime"
        )
    return OnnxEngine(spec, root, options)


class OnnxEngine:
    """A session, its inputs and its outputs. One call at a time."""

    def __init__(self, spec: ModelSpec, root: Path, options: EngineOptions) -> None:
        """Create the session; see `load`."""
        import onnxruntime

        self._spec = spec
        self._failures = _failures()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = _ERRORS_ONLY + 1
        files = checked_files(spec, root)
        program = files.program
        provider: Any = "CPUExecutionProvider"
        if options.tensorrt:
            provider = ("TensorrtExecutionProvider", _tensorrt(spec, files, options))
        elif options.device.kind == "gpu":
            provider = ("CUDAExecutionProvider", {"device_id": options.device.index})
        try:
            # Bytes have no directory in which weights kept beside the program could be found.
            as_bytes = files.in_memory and len(files.signature.files) == 1
            session = onnxruntime.InferenceSession(
                program.read_bytes() if as_bytes else str(program), settings, providers=[provider]
            )
        except self._failures as error:
            raise EngineError(
                f"onnxruntime cannot load {spec.name}: {summary(error)}",
                context={"program": str(program)},
            ) from error
        # A provider that does not start is replaced by the CPU, with no more than a log line.
        if options.device.kind == "gpu" and session.get_providers()[0] != provider[0]:
            with_what = " with TensorRT" if options.tensorrt else ""
            raise DeviceUnavailable(
                f"onnxruntime did not take GPU {options.device.index}{with_what}"
            )
        self._inputs = [tensor.name for tensor in session.get_inputs()]
        outputs = [tensor.name for tensor in session.get_outputs()]
        self._outputs = [tensor.name for tensor in spec.outputs] or outputs
        for name in self._outputs:
            if name not in outputs:
                raise EngineError(
                    f"the network of {spec.name} has no output {name!r}",
                    context={"outputs": ", ".join(outputs)},
                )
        self._session: Any = session

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one batch; see `Engine.run`."""
        if self._session is None:
            raise EngineError(f"{self._spec.name} is closed")
        if set(inputs) != set(self._inputs):
            raise EngineError(
                f"{self._spec.name} takes the inputs {', '.join(self._inputs)}",
                context={"got": ", ".join(inputs) or "none"},
            )
        if any(tensor.lod is not None for tensor in inputs.values()):
            raise EngineError(f"{self._spec.name}: onnxruntime knows no LoD tensors")
        try:
            feeds = {name: _fed(tensor.data) for name, tensor in inputs.items()}
            arrays = self._session.run(self._outputs, feeds)
        except self._failures as error:
            raise EngineError(f"{self._spec.name} failed: {summary(error)}") from error
        return {
            name: Tensor(_answered(array))
            for name, array in zip(self._outputs, arrays, strict=True)
        }

    def close(self) -> None:
        """Drop the session and its memory."""
        self._session = None


def _tensorrt(
    spec: ModelSpec, files: ModelFiles, options: EngineOptions
) -> Mapping[str, str | int | bool]:
    import onnxruntime

    built_for = shapes(spec, options)
    version = f"onnxruntime {onnxruntime.__version__}"
    return provider_options(options, built_for, cache_of(files, options, built_for, version))


def _fed(data: Array) -> Array:
    """As onnxruntime takes it: its texts are `str`, and of `bytes` it would take the `repr`."""
    if data.dtype.kind != "O":
        return np.ascontiguousarray(data)
    if not all(isinstance(text, bytes) for text in data.flat):
        raise TypeError("an array of objects that are no texts")
    return _objects(data, [text.decode() for text in data.flat])


def _answered(data: Array) -> Array:
    if data.dtype.kind not in "OU":
        return data
    return _objects(data, [text.encode() for text in data.ravel().tolist()])


def _objects(like: Array, elements: list[str] | list[bytes]) -> Array:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(like.shape)


def summary(error: BaseException) -> str:
    """What an exception of onnxruntime says: its first line, without error code and source path."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    words = line.split(" : ")
    return words[-1].strip() if line.startswith("[ONNXRuntimeError]") else line


def _failures() -> tuple[type[Exception], ...]:
    """Every exception class of onnxruntime; they have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [
        value
        for value in vars(state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    return (*own, RuntimeError, ValueError, TypeError, MemoryError)
