"""The linear model served by Triton; run in the virtual environment of nvidia-pytriton.

`python triton_linear.py PORT MODEL`. Triton batches; the function below gets whole batches.
"""

import sys

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_BATCH_SIZE = 64


def main() -> None:
    """Serve until the process is told to end."""
    port, model = int(sys.argv[1]), sys.argv[2]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)

    @batch
    def infer(x: np.ndarray) -> list[np.ndarray]:
        return session.run(["y"], {"x": x})

    config = TritonConfig(
        http_port=port, grpc_port=port + 1, metrics_port=port + 2, http_address="127.0.0.1"
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="linear",
            infer_func=infer,
            inputs=[Tensor(name="x", dtype=np.float32, shape=(13,))],
            outputs=[Tensor(name="y", dtype=np.float32, shape=(1,))],
            # No delay: Triton merges what queues while a batch runs, as our scheduler does.
            config=ModelConfig(max_batch_size=MAX_BATCH_SIZE, batcher=DynamicBatcher()),
        )
        triton.serve()


if __name__ == "__main__":
    main()
