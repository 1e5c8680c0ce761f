"""A network served by Triton's front end and batcher, through nvidia-pytriton 0.7.0.

Tuned by the documentation of both: `DynamicBatcher()` without a delay is what Triton's "Batchers"
recommends to begin with (batches as large as what waits, up to the largest); a list of functions in
`bind` makes as many instances ("Binding Model to Triton", multi-instance model inference).
"""

import os
import sysconfig

import numpy as np
from network import Job, Network
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def instance(job):
    """One instance: a function that is given whole batches."""
    network = Network(job)

    @batch
    def infer(**inputs):
        return [network.run(inputs[job.input])]

    return infer


def main():
    job = Job()
    ports = {"http_port": job.port, "grpc_port": job.port + 1, "metrics_port": job.port + 2}
    # The backend's stub must find the libpython of this very Python, not another's.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    delay = round(job.max_delay_ms * 1000)
    batcher = DynamicBatcher(max_queue_delay_microseconds=delay)
    with Triton(config=TritonConfig(http_address="127.0.0.1", **ports)) as triton:
        triton.bind(
            model_name=job.name,
            infer_func=[instance(job) for _ in range(job.workers)],
            inputs=[Tensor(name=job.input, dtype=np.float32, shape=tuple(job.shape))],
            outputs=[Tensor(name=job.output, dtype=np.float32, shape=(job.classes,))],
            config=ModelConfig(max_batch_size=job.max_batch_size, batcher=batcher),
        )
        triton.serve()


if __name__ == "__main__":
    main()
