"""`config.yml` of Paddle Serving's pipelines: which keys there are, and what each takes.

What the keys come to here is `pipeline_translation`'s. Null is as good as absent, as it was there.
Source: PaddlePaddle/Serving v0.7.0 to v0.9.0, python/pipeline/pipeline_server.py (its checker),
operator.py, dag.py and local_service_handler.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from paddlesrv.yaml_file import Rules, YamlFile, explain

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Milliseconds = Annotated[int, msgspec.Meta(ge=-1)]
Devices = Annotated[str, msgspec.Meta(pattern=r"^\s*(-1|[0-9]{1,4}(\s*,\s*[0-9]{1,4})*)?\s*$")]


class Tracer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dag.tracer`."""

    interval_s: int | None = None


class Dag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dag`: what held for all ops."""

    is_thread_op: bool | None = None
    retry: Count | None = None
    use_profile: bool | None = None
    channel_size: Size | None = None
    client_type: str | None = None
    channel_recv_frist_arrive: bool | None = None  # spelled so there
    tracer: Tracer | None = None
    enable_prometheus: bool | None = None
    prometheus_port: Port | None = None


class LocalService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`op.NAME.local_service_conf`: the model of an op, and how it ran."""

    model_config: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    client_type: str | None = None
    workdir: str | None = None
    thread_num: Count | None = None
    device_type: int | None = None
    devices: Size | Devices | None = None
    fetch_list: list[str] | None = None
    mem_optim: bool | None = None
    ir_optim: bool | None = None
    precision: str | None = None
    use_calib: bool | None = None
    use_mkldnn: bool | None = None
    mkldnn_cache_capacity: int | None = None
    mkldnn_op_list: list[str] | None = None
    mkldnn_bf16_op_list: list[str] | None = None
    min_subgraph_size: int | None = None


class Op(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`op.NAME`: one op; times are in milliseconds, and those below 1 are none."""

    concurrency: Count | None = None
    timeout: Milliseconds | None = None
    retry: Count | None = None
    batch_size: Count | None = None
    auto_batching_timeout: Milliseconds | None = None
    local_service_conf: LocalService | None = None
    server_endpoints: list[str] | None = None
    client_config: str | None = None
    client_type: str | None = None
    fetch_list: list[str] | None = None
    use_encryption_model: bool | None = None
    encryption_key: str | None = None


class _Top(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rpc_port: Port | None = None
    http_port: Port | None = None
    grpc_gateway_port: Port | None = None
    worker_num: Count | None = None
    build_dag_each_worker: bool | None = None


class PipelineConfig(_Top, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; `op` has each op by its name."""

    dag: Dag = Dag()
    op: dict[str, Op] = {}


class _Whole(_Top, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file down to its ops, each of which is read by itself so that errors can name it."""

    dag: Dag | None = None
    op: dict[str, Any] | None = None


_PORT = "a port from 0 to 65535"
_COUNT = "a whole number from 1"
_SWITCH = "true or false"
_TEXT = "a text"
_NAMES = "a list of names"
_MILLISECONDS = "a whole number of milliseconds, or -1"

ACCEPTED: Mapping[str, str] = {
    "rpc_port": _PORT,
    "http_port": _PORT,
    "grpc_gateway_port": _PORT,
    "prometheus_port": _PORT,
    "worker_num": _COUNT,
    "build_dag_each_worker": _SWITCH,
    "dag": "a mapping",
    "op": "a mapping from each op's name to its keys",
    "is_thread_op": _SWITCH,
    "retry": _COUNT,
    "use_profile": _SWITCH,
    "channel_size": "a whole number from 0",
    "channel_recv_frist_arrive": _SWITCH,
    "tracer": "a mapping with `interval_s`",
    "interval_s": "a whole number",
    "enable_prometheus": _SWITCH,
    "concurrency": _COUNT,
    "timeout": _MILLISECONDS,
    "batch_size": _COUNT,
    "auto_batching_timeout": _MILLISECONDS,
    "local_service_conf": "a mapping with `model_config`",
    "server_endpoints": "a list of addresses",
    "client_config": _TEXT,
    "client_type": "local_predictor, brpc or grpc",
    "fetch_list": _NAMES,
    "use_encryption_model": _SWITCH,
    "encryption_key": _TEXT,
    "model_config": "the path of a model's directory",
    "workdir": _TEXT,
    "thread_num": _COUNT,
    "device_type": "a whole number from -1",
    "devices": 'numbers of GPUs, e.g. "0,1", or an empty text',
    "mem_optim": _SWITCH,
    "ir_optim": _SWITCH,
    "precision": "fp32, fp16, bf16 or int8",
    "use_calib": _SWITCH,
    "use_mkldnn": _SWITCH,
    "mkldnn_cache_capacity": "a whole number",
    "mkldnn_op_list": _NAMES,
    "mkldnn_bf16_op_list": _NAMES,
    "min_subgraph_size": "a whole number",
}
"""What each key takes, in words, by its last part. A test holds it equal to the fields above."""


def _fields(place: str) -> tuple[str, ...]:
    last = place.rpartition(".")[2]
    kinds: dict[str, type[msgspec.Struct]] = {
        "": PipelineConfig, "dag": Dag, "dag.tracer": Tracer,
    }  # fmt: skip
    kind = kinds.get(place, LocalService if last == "local_service_conf" else Op)
    return kind.__struct_fields__


RULES = Rules(
    accepted=ACCEPTED,
    fields=_fields,
    holds="pipeline of Paddle Serving",
    wanted="a mapping with `op`",
)


def is_pipeline(data: Any) -> bool:
    """Whether a YAML file's data is such a config, and none of our own."""
    if not isinstance(data, dict) or "models" in data:
        return False
    return not {"op", "dag", "rpc_port", "http_port"}.isdisjoint(data)


def read_pipeline(file: YamlFile) -> PipelineConfig:
    """The config that a file's data is.

    Raises:
        UsageError: a key is unknown or its value does not fit; the error names its place and line.
    """
    whole = _convert(file, file.data, _Whole)
    ops = {
        name: _convert(file, value, Op, f"op.{name}") for name, value in (whole.op or {}).items()
    }
    own = {name: getattr(whole, name) for name in _Top.__struct_fields__}
    return PipelineConfig(**own, dag=whole.dag or Dag(), op=ops)


def _convert(file: YamlFile, data: Any, kind: Any, section: str = "") -> Any:
    try:
        return msgspec.convert({} if section and data is None else data, kind)
    except msgspec.ValidationError as error:
        raise explain(error, data, str(file.path), RULES, file.lines, section) from error
