"""A network served by Ray Serve.

Tuned by Ray's documentation: `serve.batch` with `max_batch_size` and `batch_wait_timeout_s`
("Dynamic Request Batching"), `max_ongoing_requests` of a replica at least a batch (same page),
`num_replicas` is the number of processes, and what "Performance Tuning" advises for throughput.
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import ray
from network import Job, Network, json_of_row, row_of_bytes, row_of_json
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

job = Job()


@serve.deployment(
    num_replicas=job.workers,
    max_ongoing_requests=max(100, 2 * job.max_batch_size),
    ray_actor_options={"num_cpus": 0.1},
    logging_config={"enable_access_log": False},
)
class Serve:
    """A request is JSON, or a row's bytes and nothing else; the answer is of the same form."""

    def __init__(self, told):
        self.job = told
        self.network = Network(told)

    @serve.batch(
        max_batch_size=job.max_batch_size, batch_wait_timeout_s=max(1.0, job.max_delay_ms) / 1000
    )
    async def run(self, rows):
        return list(self.network.run(np.stack(rows)))

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        if len(body) == 4 * int(np.prod(self.job.shape)):
            row = await self.run(row_of_bytes(self.job, body))
            return Response(row.tobytes(), media_type="application/octet-stream")
        row = await self.run(row_of_json(self.job, json.loads(body)))
        return Response(json.dumps(json_of_row(self.job, row)), media_type="application/json")


async def forever() -> None:
    """Until the process is told to end."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    here = str(Path(__file__).parent)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": here}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": job.port})
    serve.run(Serve.bind(job), name=job.name, route_prefix="/infer")
    asyncio.run(forever())
