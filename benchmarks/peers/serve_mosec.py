"""A network served by mosec 0.9.8.

Tuned by mosec's documentation: `append_worker`'s `max_batch_size` and `max_wait_time` turn its
batching on ("Concepts and FAQs", dynamic batching), `num` is the number of processes, and
serialization is a worker's `deserialize` and `serialize`. 1 ms is the shortest wait it takes.
"""

import json
import os
import sys

import numpy as np
from mosec import Server, Worker
from network import Job, Network, json_of_row, row_of_bytes, row_of_json

# mosec reads the command line itself, and starts its workers anew from this module.
JOB = os.environ.setdefault("BENCHMARK_JOB", sys.argv.pop(1) if len(sys.argv) > 1 else "")


class Serve(Worker):
    """A request is JSON, or a row's bytes and nothing else; the answer is of the same form."""

    def __init__(self):
        self.job = Job(JOB)
        self.network = Network(self.job)
        self.size = 4 * int(np.prod(self.job.shape))

    def deserialize(self, data):
        if len(data) == self.size:
            return True, row_of_bytes(self.job, data)
        return False, row_of_json(self.job, json.loads(data))

    def forward(self, data):
        # mosec hands over a list where it batches, else the request alone.
        if self.job.max_batch_size == 1:
            return data[0], self.network.run(data[1][None])[0]
        y = self.network.run(np.stack([row for _, row in data]))
        return [(raw, row) for (raw, _), row in zip(data, y)]

    def serialize(self, data):
        raw, row = data
        return row.tobytes() if raw else json.dumps(json_of_row(self.job, row)).encode()


if __name__ == "__main__":
    job = Job(JOB)
    sys.argv += ["--address", "127.0.0.1", "--port", str(job.port), "--timeout", "60000"]
    sys.argv += ["--max-request-size", str(1 << 26)]
    server = Server()
    wait = max(1, round(job.max_delay_ms))
    server.append_worker(
        Serve, num=job.workers, max_batch_size=job.max_batch_size, max_wait_time=wait
    )
    server.run()
