"""Which engine runs each network of a server: the one that is named, or as `engines.choice` says.

Only networks on `auto` are chosen for. int8 and TensorRT leave no choice: the one is of ONNX
Runtime (on the CPU), the other built for the engine that the files are made for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from paddlesrv.engines.base import EngineName, EngineOptions
from paddlesrv.engines.candidates import Wanted, Watch
from paddlesrv.engines.choice import Choice, choose, recall
from paddlesrv.engines.devices import DeviceInfo, Machine, check, describe
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.server.config import ModelConfig, default_threads, device_of, engine_options
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.unlocking import own_engine


@dataclass(frozen=True)
class Decisions:
    """How each network runs, by the model's name; `choices` are those that `auto` came to."""

    options: dict[str, EngineOptions] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)


def decide(
    planned: Sequence[tuple[ModelConfig, LocalModel]],
    cache_dir: Path,
    *,
    limit_seconds: float,
    watch: Watch = lambda text: None,
    variants: Mapping[str, str | None] | None = None,
) -> Decisions:
    """Decide for every planned model, by a trial of those that are on `auto` for the first time.

    Args:
        planned: From `launch.plan`.
        cache_dir: The store's directory.
        limit_seconds: Time for the trial of one model; 0: what was recorded, and no trial.
        watch: Told what is being done, before it takes long.
        variants: The way of paddle's for networks whose engine is named, where one is known.

    Raises:
        IntegrityError: a file of a model is missing or damaged.
    """
    decided = Decisions()
    for config, model in planned:
        name = model.spec.name
        if model.sealed is not None and model.spec.format != "pipeline":
            # A trial would leave the network's other forms in files, in clear.
            decided.options[name] = engine_options(config, own_engine(config, model))
            continue
        if config.engine != "auto" or model.spec.format == "pipeline" or _is_bound(config):
            engine = first_able(config, is_onnx=model.spec.format == "onnx")
            decided.options[name] = msgspec.structs.replace(
                engine_options(config, engine), variant=(variants or {}).get(name)
            )
            continue
        choice = choose(
            model.spec,
            model.root,
            wanted(config, model),
            cache_dir,
            limit_seconds=limit_seconds,
            watch=lambda text, name=name: watch(f"{name}: {text}"),  # type: ignore[misc]
        )
        decided.choices[name] = choice
        decided.options[name] = chosen_options(config, choice)
    return decided


def recalled(config: ModelConfig, model: LocalModel, cache_dir: Path) -> Choice | None:
    """What was chosen before for a model that is on `auto`, or None."""
    bound = model.spec.format == "pipeline" or _is_bound(config)
    if config.engine != "auto" or bound or model.sealed is not None:
        return None
    return recall(model.spec, model.root, wanted(config, model), cache_dir)


def chosen_options(config: ModelConfig, choice: Choice) -> EngineOptions:
    """How a configured model runs as it was chosen."""
    options = engine_options(config, choice.engine)
    return msgspec.structs.replace(options, threads=choice.threads, variant=choice.variant)


def wanted(config: ModelConfig, model: LocalModel) -> Wanted:
    """What a choice for a configured model depends on."""
    return Wanted(
        device=device_of(config),
        precision=config.precision,
        threads=config.threads,
        cores=default_threads(config.instances),
        rows=config.max_batch_size or model.spec.max_batch_size,
    )


def first_able(config: ModelConfig, *, is_onnx: bool) -> EngineName:
    """The engine that is named; for `auto` the first that could run it so.

    That is the one that the files are made for, or another that computes in that precision there.
    """
    if config.engine != "auto":
        return config.engine
    machine = describe()
    for engine in _order(config, is_onnx):
        try:
            check(engine_options(config, engine), machine=machine)
        except DeviceUnavailable:
            continue
        return engine
    return _order(config, is_onnx)[0]


def check_device(
    config: ModelConfig, command: str, *, is_onnx: bool, machine: Machine | None = None
) -> DeviceInfo:
    """Make sure, before anything is fetched or loaded, that some engine runs a model as asked.

    Raises:
        DeviceUnavailable: none does; as the engine says that the files are made for.
    """
    return check(engine_options(config, first_able(config, is_onnx=is_onnx)), command, machine)


def _is_bound(config: ModelConfig) -> bool:
    return config.tensorrt or (config.precision == "int8" and config.device == "cpu")


def _order(config: ModelConfig, is_onnx: bool) -> Sequence[EngineName]:
    if is_onnx or (config.precision == "int8" and config.device == "cpu"):
        return ("onnxruntime",)
    return ("paddle", "onnxruntime")
