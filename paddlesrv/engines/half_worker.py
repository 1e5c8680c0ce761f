"""The process that writes one ONNX network in 16 bits; see `half`. Reads a `Request`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from paddlesrv.engines.half import Request
from paddlesrv.isolated import die_with


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        network = onnx.shape_inference.infer_shapes(onnx.load(request.source))
        # Inputs and outputs stay 32 bits wide: tasks and clients know nothing of precisions.
        onnx.save(convert_float_to_float16(network, keep_io_types=True), request.target)
    except Exception as error:  # noqa: BLE001 - whatever a network makes its tools stumble over
        lines = str(error).splitlines() or [""]
        Path(request.failure).write_text(f"{type(error).__name__}: {lines[0]}"[:500])


if __name__ == "__main__":
    main()
