"""The network as every peer runs it: one ONNX Runtime session, and how requests become rows.

Runs in the peers' own Pythons, from 3.8 on; needs numpy and onnxruntime alone.
"""

import json
import sys
from pathlib import Path

import numpy as np


class Job:
    """What a peer is asked to serve: the file that its command line names.

    `port`, `model` (the ONNX file), `paddle` (the directory with Paddle's), `name`, `input`,
    `output`, `shape`, `classes`, `threads` (of one run), `workers`, `max_batch_size` (1: no
    batching), `max_delay_ms`.
    """

    def __init__(self, path=None):
        vars(self).update(json.loads(Path(path or sys.argv[1]).read_text()))


class Network:
    """A session of one thread count; rows in, rows out."""

    def __init__(self, job):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(job.model, options, providers=providers)
        self.job = job

    def run(self, x):
        """float32 [rows, ...] -> float32 [rows, classes]."""
        (y,) = self.session.run([self.job.output], {self.job.input: x})
        return y


def row_of_json(job, document):
    """The row of a request of the Open Inference Protocol; nothing is checked."""
    return np.array(document["inputs"][0]["data"], np.float32).reshape(job.shape)


def row_of_bytes(job, body):
    """The row of a request that is nothing but float32."""
    return np.frombuffer(body, np.float32).reshape(job.shape)


def json_of_row(job, row):
    """An answer of the Open Inference Protocol, to be written as JSON."""
    told = {"name": job.output, "datatype": "FP32", "shape": [1, job.classes]}
    return {"outputs": [dict(told, data=row.tolist())]}
