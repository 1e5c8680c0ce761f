"""From a server's configuration and installed models to what the service needs to serve them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import DeviceUnavailable, UsageError
from paddlesrv.server.config import ModelConfig, component_config
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.scheduler import Limits
from paddlesrv.server.service import ModelSetup
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import Task


def plan(
    configs: Sequence[ModelConfig],
    find: Callable[[str], LocalModel],
    parts: Mapping[str, ModelConfig] | None = None,
) -> list[tuple[ModelConfig, LocalModel]]:
    """The models to start, in order: components before the models that need them.

    A component that is configured itself keeps its own configuration; otherwise it takes the one
    in `parts`, or that of the model that needs it.
    """
    found = [(config, find(config.name)) for config in configs]
    planned: dict[str, tuple[ModelConfig, LocalModel]] = {}
    own = {model.spec.name: (config, model) for config, model in found}
    for config, model in found:
        for component in model.spec.components.values():
            if component not in planned:
                inherited = (parts or {}).get(component) or component_config(config, component)
                planned[component] = own.get(component) or (inherited, find(component))
        planned.setdefault(model.spec.name, (config, model))
    return list(planned.values())


def setups(
    planned: Sequence[tuple[ModelConfig, LocalModel]], options: Mapping[str, EngineOptions]
) -> list[ModelSetup]:
    """What the service needs of each planned model.

    Args:
        planned: From `plan`.
        options: How each network runs, by the model's name (`deciding.decide`).

    Raises:
        DeviceUnavailable: the engine does not run such files.
        IntegrityError: a file that a task needs is missing or damaged.
        UsageError: a model has a part without a task.
    """
    made: list[ModelSetup] = []
    tasks: dict[str, Task] = {}
    for config, model in planned:
        spec = model.spec
        if spec.format == "onnx" and options[spec.name].engine == "paddle":
            raise DeviceUnavailable(
                f"the engine paddle does not run ONNX models such as {spec.name}",
                hints=["choose the one that does: --engine onnxruntime"],
            )
        for name in spec.components.values():
            if name not in tasks:
                raise UsageError(
                    f"{spec.name} cannot be served: what the tensors of its part {name} "
                    "mean is not known",
                    hints=[f"serve the part by its tensors: paddlesrv serve {name}"],
                )
        components = {role: tasks[name] for role, name in spec.components.items()}
        task = make_task(spec, model.root, components)
        if task is not None:
            tasks[spec.name] = task
        made.append(
            ModelSetup(
                spec=spec,
                root=model.root,
                sealed=model.sealed,
                task=task,
                aliases=model.aliases,
                options=options[spec.name],
                instances=config.instances,
                pin=config.pin,
                limits=Limits(
                    max_batch_size=config.max_batch_size or spec.max_batch_size,
                    max_delay=config.max_delay_ms / 1e3,
                    max_queue=config.max_queue,
                    timeout=config.timeout_s,
                ),
            )
        )
    return made
