"""What a `config.yml` of Paddle Serving's pipelines comes to here, with an account of every key.

A key is taken as a field of the server's configuration, or means nothing here and why, or cannot
be expressed, and then nothing is served. What the file does not hold, since it stood in Python
beside it, is remarked upon.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from paddlesrv.errors import DeviceUnavailable, PaddlesrvError, UsageError
from paddlesrv.server.pipeline_config import Dag, Op, PipelineConfig, read_pipeline
from paddlesrv.server.pipeline_notes import Ledger, Note
from paddlesrv.server.pipeline_op import METRICS, translate_op
from paddlesrv.yaml_file import YamlFile

_NOTHING: Mapping[str, str] = {
    "retry": "what runs out of time is answered 504, and the client decides",
    "use_profile": METRICS,
    "client_type": "an op's model runs inside the server: no client is between",
    "channel_recv_frist_arrive": "one op has one input",
    "enable_prometheus": METRICS,
    "prometheus_port": "GET /metrics is on the server's own port",
}
"""Keys of `dag` that mean nothing here, whatever their value."""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's config as one of ours.

    `data` is what a config file would hold that says the same, and `lines` where each value of it
    comes from; `notes` are one for each key, `remarks` what else differs from the ancestor.
    """

    source: YamlFile
    data: dict[str, Any]
    lines: dict[str, int]
    notes: tuple[Note, ...]
    remarks: tuple[str, ...]

    def file(self) -> YamlFile:
        """The translation in the place of the file that it was made of.

        Raises:
            UsageError: a key cannot be expressed.
            DeviceUnavailable: all that cannot be expressed are devices.
        """
        refused = [note for note in self.notes if note.outcome == "refused"]
        if refused:
            raise _refusal(self.source, refused)
        return YamlFile(self.source.path, self.data, self.lines)


def translate(file: YamlFile) -> Translation:
    """What a pipeline's config comes to.

    Raises:
        UsageError: a key is unknown, or its value does not fit.
    """
    config = read_pipeline(file)
    ledger = Ledger()
    server = _ports(ledger, config)
    shared = _workers(ledger, config) | _dag(ledger, config.dag)
    _chain(ledger, config.op)
    models = []
    for index, (name, op) in enumerate(config.op.items()):
        model = translate_op(ledger, name, op, f"models[{index}]", config, file.path.parent)
        instances = shared.get("instances", 1) * model.get("instances", 1)
        models.append(shared | model | ({"instances": instances} if instances > 1 else {}))
    lines = {own: file.lines[place] for own, place in ledger.fields.items() if place in file.lines}
    return Translation(
        source=file,
        data=server | {"models": models},
        lines=lines,
        notes=ledger.close(file.data, file.lines),
        remarks=_remarks(config.op),
    )


def _ports(ledger: Ledger, config: PipelineConfig) -> dict[str, int]:
    http, rpc = config.http_port, config.rpc_port
    found = {}
    if http is not None:
        found["port"] = http
        ledger.take("http_port", http, "port", http)
    if rpc is not None and http not in (None, rpc):
        found["grpc_port"] = rpc
        ledger.take("rpc_port", rpc, "grpc_port", rpc, "http_port speaks gRPC as well")
    elif rpc is not None:
        found["port"] = rpc
        ledger.take("rpc_port", rpc, "port", rpc, "one port speaks gRPC and HTTP")
    if config.grpc_gateway_port is not None:
        why = "no gateway stands before gRPC: one port speaks both"
        ledger.nothing("grpc_gateway_port", config.grpc_gateway_port, why)
    return found


def _workers(ledger: Ledger, config: PipelineConfig) -> dict[str, int]:
    count, each = config.worker_num, config.build_dag_each_worker
    if each is not None:
        why = "what worker_num counts has a copy of the model each" if each else "as it is here"
        ledger.nothing("build_dag_each_worker", each, why)
    if count is None:
        return {}
    if each:
        ledger.take("worker_num", count, "instances", count, "worker processes")
        return {"instances": count}
    why = "requests hold no threads: they wait in one queue, and share batches"
    ledger.nothing("worker_num", count, why)
    return {}


def _dag(ledger: Ledger, dag: Dag) -> dict[str, int]:
    for name, why in _NOTHING.items():
        if getattr(dag, name) is not None:
            ledger.nothing(f"dag.{name}", getattr(dag, name), why)
    if dag.tracer is not None and dag.tracer.interval_s is not None:
        ledger.nothing("dag.tracer.interval_s", dag.tracer.interval_s, METRICS)
    if dag.is_thread_op is not None:
        why = "models run in processes of their own"
        more = "; an op's concurrency counts those" if not dag.is_thread_op else ""
        ledger.nothing("dag.is_thread_op", dag.is_thread_op, why + more)
    size = dag.channel_size
    if size is None:
        return {}
    if size == 0:
        why = "no queue is without a limit here: max_queue stays as it is"
        ledger.nothing("dag.channel_size", 0, why)
        return {}
    ledger.take("dag.channel_size", size, "max_queue", size, "in rows")
    return {"max_queue": size}


def _chain(ledger: Ledger, ops: Mapping[str, Op]) -> None:
    """Refuse what is not one op."""
    if not ops:
        hint = "name an op and its model: op: {NAME: {local_service_conf: {model_config: DIR}}}"
        ledger.refuse("op", None, "there is no op, and so nothing to serve", hint)
    if len(ops) > 1:
        why = "how several ops follow each other stood in Python beside this file"
        ledger.refuse("op", list(ops), why, _side_by_side(ops))


def _side_by_side(ops: Mapping[str, Op]) -> str:
    if {"det", "rec"} <= {name.lower() for name in ops}:
        return "the catalogue has a pipeline that detects and reads text: paddlesrv serve ocr"
    local = [op.local_service_conf for op in ops.values()]
    paths = [each.model_config for each in local if each is not None and each.model_config]
    words = shlex.join(path if "/" in path else f"./{path}" for path in paths)
    return f"serve the models side by side, and let clients chain them: paddlesrv serve {words}"


def _remarks(ops: Mapping[str, Op]) -> tuple[str, ...]:
    found = [
        "preprocess and postprocess of your Python file are not run: clients send tensors. A task "
        "in the server does it where the model was imported with one: paddlesrv import DIR "
        "--task TASK"
    ]
    if len(ops) == 1:
        (name,) = ops
        found.append(
            f"the route is POST /{name}/prediction; if WebService(name=...) had another name, "
            "call the op so"
        )
    found.append("it listens on 127.0.0.1 alone, the ancestor on every address: --host 0.0.0.0")
    return tuple(found)


def _refusal(file: YamlFile, refused: list[Note]) -> PaddlesrvError:
    kind = DeviceUnavailable if all(note.device for note in refused) else UsageError
    return kind(
        f"{file.path}, a pipeline of Paddle Serving, cannot be served as it stands",
        context={note.place: f"{note.text} ({file.at(note.place)})" for note in refused},
        hints=list(dict.fromkeys(note.hint for note in refused)),
    )
