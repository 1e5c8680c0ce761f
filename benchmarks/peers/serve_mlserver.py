"""A network served by MLServer 1.7.1.

Tuned by MLServer's documentation: `max_batch_size` and `max_batch_time` of a model turn batching on
(user guide, "Adaptive Batching"), `parallel_workers` is the number of processes ("Parallel
Inference"), and a network of one's own is a custom runtime ("Custom Inference Runtimes").
"""

import json
import os
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import Job, Network


class Serve(MLModel):
    """The runtime; it is given whole batches."""

    async def load(self) -> bool:
        self._job = Job(os.environ["BENCHMARK_JOB"])
        self._network = Network(self._job)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        y = self._network.run(x.astype("float32", copy=False))
        outputs = [NumpyCodec.encode_output(self._job.output, y)]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def main():
    job = Job()
    server = {
        "host": "127.0.0.1",
        "http_port": job.port,
        "grpc_port": job.port + 1,
        "metrics_port": job.port + 2,
        "parallel_workers": job.workers,
        "debug": False,
    }
    model = {"name": job.name, "implementation": "serve_mlserver.Serve"}
    if job.max_batch_size > 1:
        model["max_batch_size"] = job.max_batch_size
        model["max_batch_time"] = max(1.0, job.max_delay_ms) / 1000
    folder = Path("mlserver")
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = str(Path(sys.executable).with_name("mlserver"))
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": here, "BENCHMARK_JOB": sys.argv[1]}
    os.execve(program, [program, "start", str(folder)], environment)


if __name__ == "__main__":
    main()
