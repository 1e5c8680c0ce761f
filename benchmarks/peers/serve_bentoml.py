"""A network served by BentoML.

Tuned by BentoML's documentation: `batchable`, `max_batch_size` and `max_latency_ms` of an endpoint
turn its batching on and limit it ("Adaptive batching"); `workers` is the number of processes
("Workers"). The dispatcher finds its wait by itself; 60 s is the latency beyond which it refuses.
"""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from network import Job, Network, json_of_row, row_of_json

job = Job(os.environ.setdefault("BENCHMARK_JOB", sys.argv[1] if len(sys.argv) > 1 else ""))


@bentoml.service(
    workers=job.workers,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
)
class Serve:
    """A request's one argument is the list `inputs`, along which requests are joined."""

    def __init__(self):
        self.network = Network(job)

    @bentoml.api(
        batchable=job.max_batch_size > 1,
        batch_dim=0,
        max_batch_size=job.max_batch_size,
        max_latency_ms=60000,
    )
    def infer(self, inputs: list[dict]) -> list[dict]:
        rows = [row_of_json(job, {"inputs": [each]}) for each in inputs]
        return [json_of_row(job, row)["outputs"][0] for row in self.network.run(np.stack(rows))]


if __name__ == "__main__":
    program = str(Path(sys.executable).with_name("bentoml"))
    here = str(Path(__file__).parent)
    words = ["serve", "serve_bentoml:Serve", "--working-dir", here]
    words += ["--host", "127.0.0.1", "--port", str(job.port)]
    home = {"BENTOML_HOME": str(Path("bentoml").absolute()), "BENTOML_DO_NOT_TRACK": "1"}
    os.execve(program, [program, *words], {**os.environ, "PYTHONPATH": here, **home})
