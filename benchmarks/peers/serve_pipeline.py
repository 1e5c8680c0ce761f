"""A network served by Paddle Serving's Python Pipeline (paddle-serving-server 0.9.0).

Tuned by Paddle Serving's documentation (Python_Pipeline: Pipeline_Design, Performance_Tuning):
ops are processes (`is_thread_op` false) and `concurrency` is their number, `batch_size` with
`auto_batching_timeout` turns batching on, `worker_num` is how many requests may be under way, and
oneDNN with `ir_optim` is what it has for CPUs.
"""

import json
import shutil
from pathlib import Path

from network import Job
from paddle_serving_server.web_service import Op, WebService

job = Job()
CONNECTIONS_MAX = 128


class Serve(Op):
    """A request holds one tensor."""

    def preprocess(self, input_dicts, data_id, log_id):
        ((_, inputs),) = input_dicts.items()
        return {job.input: inputs[job.input]}, False, None, ""

    def postprocess(self, input_dicts, fetch_dict, data_id, log_id):
        return {job.output: json.dumps(fetch_dict[job.output].tolist())}, None, ""


class Service(WebService):
    """A pipeline of one op."""

    def get_pipeline_response(self, read_op):
        return Serve(name="net", input_ops=[read_op])


def variable(kind, name, shape):
    """A tensor, as Paddle Serving's converter writes it; 1 is float32."""
    sides = "".join(f"  shape: {side}\n" for side in shape)
    lines = f'  name: "{name}"\n  alias_name: "{name}"\n  is_lod_tensor: false\n'
    return f"{kind}_var {{\n{lines}  {kind}_type: 1\n{sides}}}\n"


def main():
    folder = Path("pipeline")
    folder.mkdir()
    for file in Path(job.paddle).glob("inference.pd*"):
        # Without other files that end alike: it takes the first that it finds.
        if file.suffix in (".pdmodel", ".pdiparams"):
            shutil.copy(str(file), str(folder))
    told = variable("feed", job.input, job.shape) + variable("fetch", job.output, [job.classes])
    (folder / "serving_server_conf.prototxt").write_text(told)
    op = {
        "concurrency": job.workers,
        "local_service_conf": {
            "client_type": "local_predictor",
            "model_config": str(folder),
            "device_type": 0,
            "devices": "",
            "fetch_list": [job.output],
            "thread_num": job.threads,
            "ir_optim": True,
            "use_mkldnn": True,
        },
    }
    if job.max_batch_size > 1:
        op["batch_size"] = job.max_batch_size
        op["auto_batching_timeout"] = max(1, round(job.max_delay_ms))
    config = {
        "http_port": job.port,
        "rpc_port": job.port + 1,
        "worker_num": CONNECTIONS_MAX,
        "build_dag_each_worker": False,
        "dag": {"is_thread_op": False, "retry": 1},
        "op": {"net": op},
    }
    service = Service(name=job.name)
    service.prepare_pipeline_config(yml_dict=config)
    service.run_service()


if __name__ == "__main__":
    main()
