"""A network served by LitServe 0.2.19.

Tuned by LitServe's documentation: `max_batch_size` and `batch_timeout` turn batching on
(features/batching), `workers_per_device` is the number of processes, and `fast_queue` is for more
than a hundred requests/s (API reference of LitServer). It takes JSON and forms, not bare bytes.
"""

import litserve
import numpy as np
from network import Job, Network, json_of_row, row_of_json

job = Job()


class Serve(litserve.LitAPI):
    """Takes and gives what the other servers do."""

    def setup(self, device):
        self.network = Network(job)

    def decode_request(self, request):
        return row_of_json(job, request)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        # LitServe hands over a batch where it batches, else one row.
        return self.network.run(x) if job.max_batch_size > 1 else self.network.run(x[None])[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return json_of_row(job, output)


if __name__ == "__main__":
    batching = {}
    if job.max_batch_size > 1:
        batching = {
            "max_batch_size": job.max_batch_size,
            "batch_timeout": max(1.0, job.max_delay_ms) / 1000,
        }
    server = litserve.LitServer(
        Serve(**batching),
        accelerator="cpu",
        workers_per_device=job.workers,
        timeout=60,
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=job.port, generate_client_file=False, log_level="warning")
