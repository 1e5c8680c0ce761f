"""The linear model served by mosec; run in mosec's own virtual environment.

`python mosec_linear.py --port N --timeout 30000`, with the model's path in `LINEAR_MODEL`.
"""

import os

import numpy as np
import onnxruntime
from mosec import Server, Worker

MAX_BATCH_SIZE = 64


class Linear(Worker):
    """Takes and gives what the other servers do; JSON is mosec's default, checked by nobody."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["LINEAR_MODEL"], options)

    def forward(self, data: list[dict]) -> list[dict]:
        x = np.array([request["inputs"][0]["data"] for request in data], dtype=np.float32)
        (y,) = self._session.run(["y"], {"x": x})
        return [
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": row}]}
            for row in y.tolist()
        ]


if __name__ == "__main__":
    server = Server()
    # 1 ms is the shortest wait that mosec takes.
    server.append_worker(Linear, num=1, max_batch_size=MAX_BATCH_SIZE, max_wait_time=1)
    server.run()
