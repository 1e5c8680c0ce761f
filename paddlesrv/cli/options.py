"""Flags that several commands share, and how they become a `ModelConfig`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ModelConfig, ServerConfig


class PrecisionWord(str, Enum):
    """How numbers are kept while a network runs."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class EngineWord(str, Enum):
    """What runs a network."""

    auto = "auto"
    paddle = "paddle"
    onnxruntime = "onnxruntime"
    openvino = "openvino"


Gpu = Annotated[
    str | None,
    typer.Option("--gpu", metavar="IDS", help="GPUs by number: 0, or 0,1; models take turns."),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Run on the CPU (the default).")]
PrecisionFlag = Annotated[
    PrecisionWord | None,
    typer.Option("--precision", metavar="fp32|fp16|bf16|int8", help="Precision of the numbers."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        metavar="DIR",
        help="With --precision int8: pictures or texts to quantise with, where it is not done yet.",
    ),
]
Accept = Annotated[
    bool,
    typer.Option("--accept", help="With --calibrate: take int8 even if it agrees too little."),
]
TensorRt = Annotated[
    bool | None,
    typer.Option("--tensorrt", help="With --gpu: run through TensorRT; its engine is kept."),
]
EngineFlag = Annotated[
    EngineWord | None,
    typer.Option(
        "--engine",
        metavar="auto|paddle|onnxruntime|openvino",
        help="What runs the network; auto (the default): the fastest here that answers right.",
    ),
]
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0: everywhere.")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
]
MaxBatchSize = Annotated[
    int | None, typer.Option(min=1, metavar="ROWS", help="Rows in one run, at most.")
]
MaxDelay = Annotated[
    float | None,
    typer.Option(min=0, metavar="MS", help="How long a batch may wait to grow, in ms."),
]
MaxQueue = Annotated[
    int | None, typer.Option(min=1, metavar="ROWS", help="Rows that may wait; more get 429.")
]
Timeout = Annotated[
    float | None, typer.Option(min=0.001, metavar="S", help="Time for one request, in seconds.")
]
GrpcPort = Annotated[
    int | None,
    typer.Option(
        "--grpc-port", min=0, max=65535, metavar="PORT", help="One more port, for gRPC alone."
    ),
]
BrpcPort = Annotated[
    int | None,
    typer.Option(
        "--brpc-port", min=0, max=65535, metavar="PORT", help="One more port, for bRPC alone."
    ),
]
TlsCert = Annotated[
    str | None,
    typer.Option("--tls-cert", metavar="FILE", help="Speak TLS, with this certificate chain."),
]
TlsKey = Annotated[
    str | None,
    typer.Option("--tls-key", metavar="FILE", help="Its private key, if that is in another file."),
]
TlsClientCa = Annotated[
    str | None,
    typer.Option(
        "--tls-client-ca", metavar="FILE", help="Take clients with certificates of these alone."
    ),
]
ApiKeyFile = Annotated[
    str | None,
    typer.Option(
        "--api-key-file", metavar="FILE", help="Take clients with these keys alone; see key new."
    ),
]
KeyFile = Annotated[
    str | None,
    typer.Option("--key-file", metavar="FILE", help="The key of encrypted models; see encrypt."),
]
KeyCommand = Annotated[
    str | None,
    typer.Option(
        "--key-command", metavar="COMMAND", help="A command that prints the key, as a vault's does."
    ),
]
RateLimit = Annotated[
    float | None,
    typer.Option(
        "--rate-limit", min=0.001, metavar="N", help="Requests a second for each key, or for all."
    ),
]
AllowHost = Annotated[
    str | None,
    typer.Option("--allow-host", metavar="NAMES", help="Other names that clients call it by."),
]
CorsOrigin = Annotated[
    str | None,
    typer.Option("--cors-origin", metavar="ORIGINS", help="Sites whose pages may ask."),
]
Admin = Annotated[
    bool | None,
    typer.Option("--admin", help="Let clients load and unload models."),
]
MaxBody = Annotated[
    float | None, typer.Option(min=0.001, metavar="MB", help="Largest request body, in MB.")
]
Instances = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Worker processes for each model.")
]
Threads = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Threads in one run; 0: as chosen with the engine."),
]
Pin = Annotated[
    bool | None,
    typer.Option("--pin", help="Keep each instance to cores of its own."),
]
Grace = Annotated[
    float | None,
    typer.Option(min=0, metavar="S", help="Time for requests in flight at the end, in seconds."),
]


@dataclass(frozen=True, kw_only=True)
class Running:
    """The flags that say where and how a model runs; None is a flag that was not given."""

    gpu: str | None = None
    cpu: bool = False
    precision: PrecisionWord | None = None
    engine: EngineWord | None = None
    tensorrt: bool | None = None
    instances: int | None = None
    threads: int | None = None
    pin: bool | None = None
    max_batch_size: int | None = None
    max_delay_ms: float | None = None
    max_queue: int | None = None
    timeout_s: float | None = None

    def fields(self) -> dict[str, Any]:
        """What was given, as fields of a `ModelConfig`; without the device."""
        values = {
            "precision": self.precision and self.precision.value,
            "engine": self.engine and self.engine.value,
            "tensorrt": self.tensorrt,
            "instances": self.instances,
            "threads": self.threads,
            "pin": self.pin,
            "max_batch_size": self.max_batch_size,
            "max_delay_ms": self.max_delay_ms,
            "max_queue": self.max_queue,
            "timeout_s": self.timeout_s,
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def said(self) -> frozenset[str]:
        """The fields of a `ModelConfig` that were given."""
        device = {"device"} if self.cpu or self.gpu is not None else set()
        return frozenset(self.fields().keys() | device)

    def applied(self, models: Sequence[ModelConfig]) -> tuple[ModelConfig, ...]:
        """The models with these flags over what they had.

        Raises:
            UsageError: the flags contradict each other.
        """
        from msgspec.structs import replace

        devices = self._devices(len(models))
        changed = []
        for index, model in enumerate(models):
            device = {"device": devices[index % len(devices)]} if devices else {}
            changed.append(replace(model, **self.fields(), **device))
        return tuple(changed)

    def _devices(self, models: int) -> list[str]:
        if self.gpu is None:
            return ["cpu"] if self.cpu else []
        if self.cpu:
            raise UsageError("--cpu and --gpu together", hints=["keep one of them"])
        ids = [word.strip() for word in self.gpu.split(",")]
        if not all(word.isascii() and word.isdigit() and len(word) < 5 for word in ids):
            raise UsageError(
                f"--gpu takes numbers, not {self.gpu!r}", hints=["the first GPU: --gpu 0"]
            )
        if len(ids) > models:
            raise UsageError(
                f"{len(ids)} GPUs for {models} model{'s' if models != 1 else ''}",
                context={"wanted": "at most one GPU for each model"},
                hints=["start one server for each GPU, each on a port of its own"],
            )
        return [f"gpu:{int(word)}" for word in ids]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The flags for a whole server; None is a flag that was not given."""

    host: str | None = None
    port: int | None = None
    grpc_port: int | None = None
    brpc_port: int | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    api_key_file: str | None = None
    key_file: str | None = None
    rate_limit: float | None = None
    allow_host: str | None = None
    cors_origin: str | None = None
    admin: bool | None = None
    max_body_mb: float | None = None
    grace_s: float | None = None

    def applied(self, config: ServerConfig) -> ServerConfig:
        """The configuration with these flags over what it had, checked as a file would be.

        Raises:
            UsageError: a value does not fit.
        """
        import msgspec

        from paddlesrv.server.config import convert_config

        given = {field: getattr(self, field) for field in self.__dataclass_fields__}
        given = {field: value for field, value in given.items() if value is not None}
        changed = msgspec.structs.replace(config, **given)
        return convert_config(msgspec.to_builtins(changed), "the command line")
