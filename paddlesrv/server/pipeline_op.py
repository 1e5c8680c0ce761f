"""One op of a Paddle Serving pipeline as one served model of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from paddlesrv.engines.base import Precision
from paddlesrv.server.pipeline_config import LocalService, Op, PipelineConfig
from paddlesrv.server.pipeline_notes import Ledger
from paddlesrv.zoo.names import as_name

METRICS = "counts and times are always at GET /metrics"

_ENGINE = "the engine takes what gives right answers on this machine"
_ENDPOINTS = "it was for server_endpoints"
_ALL_OUTPUTS = "every output is answered, under its alias"

_OP_NOTHING: Mapping[str, str] = {
    "retry": "a batch that fails is run again, one request at a time",
    "client_type": _ENDPOINTS,
    "client_config": _ENDPOINTS,
    "fetch_list": _ALL_OUTPUTS,
}
"""Keys of an op that mean nothing here, whatever their value."""

_LOCAL_NOTHING: Mapping[str, str] = {
    "client_type": "the model runs in a worker process in any case",
    "workdir": "nothing is generated beside the model",
    "fetch_list": _ALL_OUTPUTS,
    "mem_optim": _ENGINE,
    "ir_optim": _ENGINE,
    "use_mkldnn": _ENGINE,
    "mkldnn_cache_capacity": "the cache is bounded in any case",
    "mkldnn_op_list": _ENGINE,
    "mkldnn_bf16_op_list": _ENGINE,
    "min_subgraph_size": "it was TensorRT's",
}
"""Keys of `local_service_conf` that mean nothing here, whatever their value."""

_OTHER_DEVICES = {2: "TensorRT", 4: "a Kunlun XPU", 5: "an Ascend 310", 6: "an Ascend 910"}
_BY_DEVICES, _CPU, _GPU, _ARM = -1, 0, 1, 3


class _Entry(NamedTuple):
    """A model being made, and where it will stand."""

    ledger: Ledger
    place: str
    fields: dict[str, Any]

    def take(self, place: str, value: Any, field: str, own: Any, more: str = "") -> None:
        """Set a field, and note why."""
        self.fields[field] = own
        self.ledger.take(place, value, f"{self.place}.{field}", own, more)


def translate_op(
    ledger: Ledger, name: str, op: Op, own: str, config: PipelineConfig, folder: Path
) -> dict[str, Any]:
    """The model that an op is, as a config file would hold it; all of it is noted.

    Args:
        ledger: Takes the notes.
        name: The op's, and the model's.
        op: The op.
        own: The model's place in the translation (`models[0]`).
        config: The whole, for what other keys decide of this one.
        folder: Where the file lies: a model that is not found below the current directory, as the
            ancestor took its path, is looked for there.
    """
    model = _Entry(ledger, own, {"name": name})
    place = f"op.{name}"
    if as_name(name) != name:
        hint = f"call it {as_name(name) or 'model'}, here and in the route that clients ask"
        ledger.refuse(place, name, "it cannot be a model's name", hint)
    local = op.local_service_conf or LocalService()
    _where(ledger, place, op, local)
    processes = config.dag.is_thread_op is False
    if op.concurrency is not None:
        _concurrency(model, f"{place}.concurrency", op.concurrency, processes)
    if op.timeout is not None:
        _timeout(model, f"{place}.timeout", op.timeout)
    _batching(model, place, op)
    for key, why in _OP_NOTHING.items():
        if getattr(op, key) is not None:
            ledger.nothing(f"{place}.{key}", getattr(op, key), why)
    _encryption(ledger, place, op)
    place += ".local_service_conf"
    if local.model_config is not None:
        path = str(_found(local.model_config, folder))
        model.take(f"{place}.model_config", local.model_config, "path", path)
    if local.thread_num is not None:
        model.take(f"{place}.thread_num", local.thread_num, "threads", local.thread_num)
    _device(model, place, local, processes)
    _precision(model, place, local)
    for key, why in _LOCAL_NOTHING.items():
        if getattr(local, key) is not None:
            ledger.nothing(f"{place}.{key}", getattr(local, key), why)
    return model.fields


def _where(ledger: Ledger, place: str, op: Op, local: LocalService) -> None:
    """Refuse an op that has no model here."""
    if op.server_endpoints:
        ledger.refuse(
            f"{place}.server_endpoints",
            op.server_endpoints,
            "it asks another server, which this one does not",
            "serve its model here, with local_service_conf: {model_config: DIR}, or let clients "
            "ask that server",
        )
    else:
        if op.server_endpoints is not None:
            ledger.nothing(f"{place}.server_endpoints", [], "it is empty")
        if local.model_config is None:
            why = "without model_config, an op is Python code alone"
            hint = "name the model's directory, or let clients do what the op did"
            ledger.refuse(f"{place}.local_service_conf", None, why, hint)


def _concurrency(model: _Entry, place: str, count: int, processes: bool) -> None:
    if processes:
        model.take(place, count, "instances", count, "worker processes")
    else:
        why = "its threads shared one copy of the model; here requests share batches"
        model.ledger.nothing(place, count, why)


def _timeout(model: _Entry, place: str, value: int) -> None:
    if value > 0:
        more = "of the whole request, with its time in the queue"
        model.take(place, value, "timeout_s", value / 1e3, more)
    else:
        why = "no request waits for ever here: timeout_s stays as it is"
        model.ledger.nothing(place, value, why)


def _batching(model: _Entry, place: str, op: Op) -> None:
    size, wait, where = op.batch_size, op.auto_batching_timeout, f"{place}.auto_batching_timeout"
    if size == 1:
        why = "answers do not depend on batches here: the model's own limit holds"
        model.ledger.nothing(f"{place}.batch_size", 1, why)
    elif size is not None:
        model.take(f"{place}.batch_size", size, "max_batch_size", size)
    if wait is None:
        return
    if size is None or size == 1:
        model.ledger.nothing(where, wait, "it was for a batch_size above 1")
    elif wait > 0:
        model.take(where, wait, "max_delay_ms", float(wait))
    else:
        model.ledger.nothing(where, wait, "a batch never waits until it is full here")


def _encryption(ledger: Ledger, place: str, op: Op) -> None:
    if op.use_encryption_model:
        hint = "decrypt it first: paddlesrv import DIR tells how"
        where = f"{place}.use_encryption_model"
        ledger.refuse(where, True, "encrypted models are not read", hint)
    elif op.use_encryption_model is not None:
        ledger.nothing(f"{place}.use_encryption_model", False, "as it is here")
    if op.encryption_key is not None:
        ledger.nothing(f"{place}.encryption_key", "(a key)", "it belongs to use_encryption_model")


def _found(path: str, folder: Path) -> Path:
    given = Path(path).expanduser()
    beside = folder / given
    return beside if not given.is_dir() and beside.is_dir() else given


def _device(model: _Entry, place: str, local: LocalService, processes: bool) -> None:
    kind, asked, ledger = local.device_type, local.devices, model.ledger
    where = f"{place}.devices"
    named = "" if asked is None else str(asked).replace(" ", "")
    ids = [] if named in ("", "-1") else named.split(",")
    if kind in (_CPU, _ARM):
        model.take(f"{place}.device_type", kind, "device", "cpu")
        if asked is not None:
            ledger.nothing(where, asked, "device_type says that it is the CPU")
        return
    if kind not in (None, _BY_DEVICES, _GPU):
        why = f"it is {_OTHER_DEVICES.get(kind, 'no device that is known')}, which is not there"
        hint = "write device_type: 1 (a GPU) or 0 (the CPU)"
        ledger.refuse(f"{place}.device_type", kind, why, hint, device=True)
        if asked is not None:
            ledger.nothing(where, asked, "device_type says of which kind")
        return
    if kind == _GPU and not ids:
        why, hint = "it is a GPU, and devices names none", 'write devices: "0"'
        ledger.refuse(f"{place}.device_type", kind, why, hint)
    elif kind is not None:
        ledger.nothing(f"{place}.device_type", kind, "devices says which")
    if asked is None:
        return
    if len(ids) > 1 and processes:
        why, hint = "a model runs on one device", "write one, and start a server for each GPU"
        ledger.refuse(where, asked, why, hint)
    elif kind == _GPU and not ids:
        ledger.nothing(where, asked, "it is empty")
    else:
        more = "threads used no other" if len(ids) > 1 else ""
        model.take(where, asked, "device", f"gpu:{int(ids[0])}" if ids else "cpu", more)


def _precision(model: _Entry, place: str, local: LocalService) -> None:
    asked = local.precision
    if asked is not None and asked.lower() in get_args(Precision):
        model.take(f"{place}.precision", asked, "precision", asked.lower())
    elif asked is not None:
        why, hint = "it is no precision; it silently meant fp32", "write precision: fp32"
        model.ledger.refuse(f"{place}.precision", asked, why, hint)
    if local.use_calib:
        why, hint = "calibration is TensorRT's", "remove it: in a pipeline it had no effect"
        model.ledger.refuse(f"{place}.use_calib", True, why, hint, device=True)
    elif local.use_calib is not None:
        model.ledger.nothing(f"{place}.use_calib", False, "as it is here")
