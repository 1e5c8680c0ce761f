"""Encrypted models among those that are to be served: their key, and what cannot be done with them.

What an engine would keep in files (a converted network, one of another precision, TensorRT's
engine) is refused: it would lie on the disk in clear.
"""

from __future__ import annotations

from collections.abc import Sequence

from paddlesrv.engines.base import EngineName
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.sealing.keys import no_key
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.locate import Located


def unlock(located: Sequence[Located], key: bytes | None) -> bool:
    """Decrypt the encrypted ones among the models, into memory; whether there are any.

    Raises:
        UsageError: there are, and there is no key.
        IntegrityError: the key is another one, or a file is damaged.
        DeviceUnavailable: one cannot run as it is configured without being written down in clear.
    """
    found = False
    for model in located:
        if model.sealed is None:
            continue
        found = True
        if key is None:
            raise no_key(model.config.name, model.sealed.path)
        _check(model.config, is_onnx=model.sealed.head.format == "onnx")
        model.sealed.unlock(key)
    return found


def own_engine(config: ModelConfig, model: LocalModel) -> EngineName:
    """What runs an encrypted network: the engine that is named, or that its files are made for."""
    if config.engine != "auto":
        return config.engine
    return "onnxruntime" if model.spec.format == "onnx" else "paddle"


def _check(config: ModelConfig, *, is_onnx: bool) -> None:
    if config.tensorrt:
        raise _written(config, "--tensorrt keeps the engine that it builds in a file", "")
    if config.precision == "int8":
        raise _written(
            config,
            "int8 keeps the quantised network in a file",
            "quantise before you encrypt: paddlesrv serve MODEL --precision int8 --calibrate DIR",
        )
    if config.engine in ("onnxruntime", "openvino") and not is_onnx:
        raise _written(
            config,
            f"{config.engine} would be given the network converted, which is kept in a file",
            "or encrypt an ONNX export of it",
        )
    if config.precision == "fp16" and is_onnx:
        raise _written(config, "fp16 keeps the network in that precision in a file", "")


def _written(config: ModelConfig, why: str, hint: str) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"{config.name} is encrypted, and would be written to the disk in clear",
        context={"why": why},
        hints=["run it as it is: leave --engine, --precision and --tensorrt out"]
        + ([hint] if hint else []),
    )
