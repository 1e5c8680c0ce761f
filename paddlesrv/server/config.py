"""The server's configuration: its types, reading it from YAML, writing it as commented YAML.

One typed description holds the models, how each runs, and the limits; a config file, the flags of
`serve` and (later) deployments all end in a `ServerConfig`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from paddlesrv.engines.base import (
    Device,
    EngineName,
    EngineOptions,
    EngineWish,
    Precision,
    ShapeRange,
)
from paddlesrv.yaml_file import Rules, YamlFile, explain, read_yaml

AtLeast1 = Annotated[int, msgspec.Meta(ge=1)]
AtLeast0 = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
PortNumber = Annotated[int, msgspec.Meta(ge=0, le=65535)]
FileName = Annotated[str, msgspec.Meta(min_length=1)]
DeviceWord = Annotated[str, msgspec.Meta(pattern=r"^(cpu|gpu:[0-9]+)$")]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One served model and how it runs.

    `name` is a catalogue name, an alias, or a path to a model's directory; with `path`, which is
    such a path as well, it is what the model is called. `engine` "auto" means the one that serves
    the model best here (`server.deciding`). `threads` 0 means as many as were chosen with the
    engine, or else the machine's cores divided by `instances`, at least 1; `max_batch_size` None
    the model's own default. `max_queue` is in rows, `max_delay_ms` in milliseconds, `timeout_s` in
    seconds.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    path: FileName | None = None
    engine: EngineWish = "auto"
    device: DeviceWord = "cpu"
    precision: Precision = "fp32"
    tensorrt: bool = False
    tensorrt_shapes: tuple[ShapeRange, ...] = ()
    instances: AtLeast1 = 1
    threads: AtLeast0 = 0
    pin: bool = False
    max_batch_size: AtLeast1 | None = None
    max_delay_ms: NotNegative = 0.0
    max_queue: AtLeast1 = 1024
    timeout_s: Positive = 30.0


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a server is started with.

    `max_body_mb` is in units of 1,000,000 bytes; `grace_s` (how long requests in flight may go on
    after SIGTERM) and `load_timeout_s` (how long a model may take to load) in seconds. Port 0
    takes any free port. `tls_cert` and `tls_key` are files in PEM form; with them, every port
    speaks TLS alone. `key_file` holds the key of encrypted models. `rate_limit` is in requests a
    second. `allow_host` and `cors_origin` are one or several, with commas between. What must go
    together is checked by `access.exposure`.
    """

    models: Annotated[tuple[ModelConfig, ...], msgspec.Meta(min_length=1)]
    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    port: PortNumber = 9393
    grpc_port: PortNumber | None = None
    brpc_port: PortNumber | None = None
    tls_cert: FileName | None = None
    tls_key: FileName | None = None
    tls_client_ca: FileName | None = None
    api_key_file: FileName | None = None
    key_file: FileName | None = None
    rate_limit: Positive | None = None
    allow_host: FileName | None = None
    cors_origin: FileName | None = None
    admin: bool = False
    max_body_mb: Positive = 64.0
    max_connections: AtLeast1 = 1024
    grace_s: NotNegative = 30.0
    load_timeout_s: Positive = 120.0


# What each field takes, in words: said by `load_config` when a value does not fit, and written
# beside the field by `render_config`. A test holds it equal to the fields above.
ACCEPTED: Mapping[str, str] = {
    "models": "a list of models, at least one",
    "host": "an address or host name to listen on",
    "port": "0 to 65535; 0 takes a free one",
    "grpc_port": "0 to 65535, 0 takes a free one; or null",
    "brpc_port": "0 to 65535, 0 takes a free one; or null",
    "tls_cert": "a file in PEM form, or null",
    "tls_key": "a file in PEM form, or null",
    "tls_client_ca": "a file in PEM form, or null",
    "api_key_file": "a file made by `paddlesrv key new`, or null",
    "key_file": "a file made by `paddlesrv encrypt`, or null",
    "rate_limit": "a number above 0, in requests a second; or null",
    "allow_host": "host names with commas between, or null",
    "cors_origin": "origins with commas between, such as https://example.com; or null",
    "admin": "true or false",
    "max_body_mb": "a number above 0, in MB",
    "max_connections": "a whole number from 1",
    "grace_s": "a number from 0, in seconds",
    "load_timeout_s": "a number above 0, in seconds",
    "name": "a catalogue name or alias, or the path of a model's directory",
    "path": "the path of a model's directory, or null",
    "engine": "auto, paddle, onnxruntime or openvino",
    "device": "cpu or gpu:N, e.g. gpu:0",
    "precision": "fp32, fp16, bf16 or int8",
    "tensorrt": "true or false",
    "tensorrt_shapes": "a list of {input, min, opt, max}, each of the three a list of sizes",
    "instances": "a whole number from 1",
    "threads": "a whole number from 0; 0: as chosen with the engine, or cores / instances",
    "pin": "true or false",
    "max_batch_size": "a whole number from 1, or null for the model's own",
    "max_delay_ms": "a number from 0, in milliseconds",
    "max_queue": "a whole number from 1, in rows",
    "timeout_s": "a number above 0, in seconds",
}

PURPOSE: Mapping[str, str] = {
    "host": "Where the server listens; 0.0.0.0 is every interface.",
    "port": "All protocols share it; 0 takes a free one.",
    "grpc_port": "A port for gRPC alone, besides the shared one.",
    "brpc_port": "A port for bRPC alone, besides the shared one.",
    "tls_cert": "The server's certificate chain: TLS on every port.",
    "tls_key": "The certificate's private key; null: in the same file.",
    "tls_client_ca": "Clients need a certificate that one of these has signed.",
    "api_key_file": "Clients need one of these API keys.",
    "key_file": "The key of encrypted models; see `paddlesrv encrypt`.",
    "rate_limit": "For each API key; without keys, for all clients together.",
    "allow_host": "Names for this server besides those of the loopback.",
    "cors_origin": "Pages of these sites may ask from browsers; * is any.",
    "admin": "Whether clients may load and unload models.",
    "max_body_mb": "Larger request bodies are refused with 413.",
    "max_connections": "Connections open at the same time, but for those of `--grpc-port`.",
    "grace_s": "Time for requests in flight after SIGTERM.",
    "load_timeout_s": "A model that loads longer than this has failed.",
    "name": "Catalogue name, alias, or path of a model's directory.",
    "path": "Where the model lies, if `name` is only to be its name.",
    "engine": "What runs the network; auto: the fastest here of those that answer right.",
    "device": "cpu, or gpu:N.",
    "precision": "fp32, fp16, bf16 or int8.",
    "tensorrt": "On a GPU: through TensorRT, whose engine is built once and kept.",
    "tensorrt_shapes": "With TensorRT: the shapes of inputs whose sizes are open.",
    "instances": "Worker processes; each holds the whole model.",
    "threads": "Threads inside one run; 0: as chosen with the engine, or cores / instances.",
    "pin": "Whether each instance keeps to cores of its own.",
    "max_batch_size": "Rows in one run; null: the model's own default.",
    "max_delay_ms": "How long a batch may wait to grow.",
    "max_queue": "Rows that may wait; more are refused with 429.",
    "timeout_s": "A request older than this is answered with 504.",
}

RULES = Rules(
    accepted=ACCEPTED,
    fields=lambda place: (
        (ModelConfig if place.startswith("models[") else ServerConfig).__struct_fields__
    ),
    holds="server configuration",
    wanted="a mapping with `models`",
    hints=("see a complete one: paddlesrv config gen MODEL",),
    moved={
        "settings": "settings stand in your own file: paddlesrv config path",
        "serve": "its fields stand at the top here; `serve` is for your own file",
    }
    | {
        key: "it is of Paddle Serving's pipelines: paddlesrv serve FILE --dry-run translates it"
        for key in ("op", "dag", "rpc_port", "http_port", "worker_num", "build_dag_each_worker")
    },
)
"""How what does not fit in a server's configuration is explained."""


def component_config(whole: ModelConfig, component: str) -> ModelConfig:
    """How a component runs that nobody configures: as the model that needs it."""
    return msgspec.structs.replace(whole, name=component, max_batch_size=None, tensorrt_shapes=())


def device_of(config: ModelConfig) -> Device:
    """Where a configured model runs."""
    kind, _, index = config.device.partition(":")
    return Device("gpu", int(index)) if kind == "gpu" else Device()


def engine_options(config: ModelConfig, engine: EngineName) -> EngineOptions:
    """How one instance of a configured model runs its network, on an engine that is decided."""
    return EngineOptions(
        engine=engine,
        device=device_of(config),
        precision=config.precision,
        tensorrt=config.tensorrt,
        tensorrt_shapes=config.tensorrt_shapes,
        max_batch_size=config.max_batch_size or 0,
        threads=config.threads or default_threads(config.instances),
    )


def default_threads(instances: int) -> int:
    """Threads inside one run: the cores that this process may use, divided among the instances."""
    return max(1, usable_cores() // instances)


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def own_cores(instance: int, instances: int) -> tuple[int, ...]:
    """The cores that one of a model's instances keeps to: its share of those there are.

    More instances than cores share them in turns.
    """
    cores = sorted(os.sched_getaffinity(0))
    if instances >= len(cores):
        return (cores[instance % len(cores)],)
    first, after = (len(cores) * number // instances for number in (instance, instance + 1))
    return tuple(cores[first:after])


def load_config(path: Path) -> ServerConfig:
    """The configuration in a YAML file.

    Raises:
        UsageError: the file is not there, is no YAML, or a value in it does not fit; the error
            names the place in the file (`models[0].precision`) and what is accepted there.
    """
    file = read_config(path)
    return convert_config(file.data, str(path), file.lines)


def read_config(path: Path) -> YamlFile:
    """A config file as it is, nothing of it checked yet.

    Raises:
        UsageError: it cannot be read, or is no YAML.
    """
    return read_yaml(path, absent=["write one: paddlesrv config gen MODEL -o paddlesrv.yaml"])


def convert_config(data: Any, origin: str, lines: Mapping[str, int] | None = None) -> ServerConfig:
    """The configuration in plain data, as YAML or JSON hold it; `origin` is named in errors.

    Raises:
        UsageError: as `load_config`.
    """
    try:
        return msgspec.convert(data, ServerConfig)
    except msgspec.ValidationError as error:
        raise explain(error, data, origin, RULES, lines) from error


def render_config(config: ServerConfig, notes: Mapping[str, str] | None = None) -> str:
    """The configuration as commented YAML that `load_config` reads back equal.

    Args:
        config: What to write.
        notes: Why a value is what it is, by place ("models[0].threads"); said in place of the
            general comment on that field.
    """
    notes = notes or {}
    lines = ["# paddlesrv server configuration; start it with: paddlesrv serve --config FILE", ""]
    rows: list[tuple[str, str]] = []
    for field in ServerConfig.__struct_fields__:
        if field != "models":
            rows.append((f"{field}: {_scalar(getattr(config, field))}", _comment(field, notes)))
    lines += _aligned(rows)
    lines += ["", "models:"]
    for index, model in enumerate(config.models):
        rows = []
        for field in ModelConfig.__struct_fields__:
            lead = "  - " if field == "name" else "    "
            text = f"{lead}{field}: {_scalar(getattr(model, field))}"
            rows.append((text, _comment(field, notes, f"models[{index}].")))
        lines += _aligned(rows)
    return "\n".join(lines) + "\n"


def _comment(field: str, notes: Mapping[str, str], prefix: str = "") -> str:
    text = " ".join(notes.get(prefix + field, PURPOSE[field]).split())
    return "".join(letter for letter in text if letter.isprintable())


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(text) for text, _ in rows)
    return [f"{text:<{width}}  # {comment}" for text, comment in rows]


def _scalar(value: object) -> str:
    import yaml

    if isinstance(value, tuple):  # of structs
        return yaml.safe_dump(
            msgspec.to_builtins(value), default_flow_style=True, width=math.inf
        ).strip()
    # Quoted strings cannot be taken for numbers, switches or dates.
    style = '"' if isinstance(value, str) else None
    text = yaml.safe_dump(value, default_style=style, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")
