"""The linear model served by LitServe; run in LitServe's own virtual environment.

`python litserve_linear.py PORT MODEL`. LitServe batches; `predict` gets whole batches.
"""

import sys

import litserve
import numpy as np
import onnxruntime

MAX_BATCH_SIZE = 64


class Linear(litserve.LitAPI):
    """Takes and gives what the other servers do."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(sys.argv[2], options)

    def decode_request(self, request: dict) -> np.ndarray:
        return np.array(request["inputs"][0]["data"], dtype=np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        (y,) = self._session.run(["y"], {"x": x})
        return y

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict:
        y = {"name": "y", "datatype": "FP32", "shape": [1, 1], "data": output.tolist()}
        return {"outputs": [y]}


if __name__ == "__main__":
    # 1 ms, the wait that mosec gets too.
    api = Linear(max_batch_size=MAX_BATCH_SIZE, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
