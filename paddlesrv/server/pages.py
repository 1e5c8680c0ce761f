"""`/docs`: one page, without anything from outside, that shows and tries what is served.

The page is `templates/docs.html`. All that it knows of the server is one JSON object, put in place
of `PLACEHOLDER`; scripts in the page make text of it, never markup.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from paddlesrv import __version__
from paddlesrv.engines.check_input import check_input
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor, dtype_name
from paddlesrv.server.protocols import open_inference
from paddlesrv.server.protocols.datatypes import FROM_NUMPY
from paddlesrv.server.service import VERSION, ServedModel, Service
from paddlesrv.server.validation import LOD_SUFFIX
from paddlesrv.tasks.base import Task
from paddlesrv.zoo.catalogue import data_directory

PLACEHOLDER = "{{served}}"

INLINE_VALUES = 512
"""A tensor of the example with more values is left to the binary extension: zeros, made there."""


def docs(service: Service) -> str:
    """The page.

    Raises:
        IntegrityError: the template is not where it was installed.
    """
    served = {"version": __version__, "models": [_model(m, service) for m in _in_order(service)]}
    return _template().replace(PLACEHOLDER, embed(served))


def embed(value: Any) -> str:
    """JSON that may stand in a script element.

    Nothing in it can end the element or open a comment there (HTML Living Standard, 4.12.1.3);
    `\\u003c` is `<` to a JSON parser.
    """
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def example_request(spec: ModelSpec) -> dict[str, Any] | None:
    """A valid body for `POST /v2/models/{m}/infer`; None where JSON has no word for a type.

    Large tensors, and those of a type that JSON cannot carry, have `binary_data_size` and no data:
    that many bytes, zeros for instance, are to follow the JSON.
    """
    if any(tensor.dtype not in FROM_NUMPY for tensor in spec.inputs):
        return None
    return {"inputs": _example_inputs(spec.name, spec.inputs)}


@lru_cache(maxsize=1)
def _template() -> str:
    return (data_directory("templates") / "docs.html").read_text(encoding="utf-8")


def _in_order(service: Service) -> list[ServedModel]:
    """What was asked for comes before what only serves as a part of it."""
    models = list(service.models.values())
    return sorted(models, key=lambda model: bool(_wholes(model, service)))


def _wholes(model: ServedModel, service: Service) -> list[str]:
    return [
        other.name
        for other in service.models.values()
        if model.name in other.setup.spec.components.values()
    ]


def _model(model: ServedModel, service: Service) -> dict[str, Any]:
    setup, task = model.setup, model.setup.task
    described = open_inference.describe(setup.spec, VERSION)
    pipeline = setup.spec.format == "pipeline"
    options = setup.options
    return {
        "name": model.name,
        "path": quote(model.name, safe=""),
        "aliases": setup.aliases,
        "task": setup.spec.task,
        "ready": model.ready,
        "accepts": task.accepts if task is not None else (),
        "draws": task is not None and type(task).draw is not Task.draw,
        "maps": task is not None and type(task).class_map is not Task.class_map,
        "sample": _sample(task),
        "components": setup.spec.components,
        "part_of": _wholes(model, service),
        "runs": "" if pipeline else f"{options.engine} on {options.device}, {options.precision}",
        "max_batch_size": None if pipeline else setup.limits.max_batch_size,
        "inputs": described["inputs"],
        "outputs": described["outputs"],
        "request": None if pipeline else example_request(setup.spec),
    }


def _sample(task: Task | None) -> Any:
    """The task's example, unless it is a picture: the page paints one itself."""
    if task is None or "image" in task.accepts:
        return None
    return task.example().data


@lru_cache(maxsize=256)
def _example_inputs(name: str, inputs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    # The engines' check input knows what networks want: sides in multiples of 32, small ids.
    signature = ModelSpec(name=name, task="tensors", format="onnx", inputs=inputs)
    request: list[dict[str, Any]] = []
    for input_name, tensor in check_input(signature).items():
        request.append(_example_tensor(input_name, tensor))
        if tensor.lod is not None:
            offsets = list(tensor.lod)
            shape = [len(offsets)]
            lod = {"name": input_name + LOD_SUFFIX, "shape": shape, "datatype": "INT64"}
            request.append({**lod, "data": offsets})
    return request


def _example_tensor(name: str, tensor: Tensor) -> dict[str, Any]:
    data = tensor.data
    datatype = FROM_NUMPY[dtype_name(data)]
    example: dict[str, Any] = {"name": name, "shape": list(data.shape), "datatype": datatype}
    if data.size > INLINE_VALUES or datatype == "FP16":
        return {**example, "parameters": {"binary_data_size": data.nbytes}}
    if datatype == "BYTES":
        return {**example, "data": [text.decode() for text in data.ravel()]}
    values = data.astype("float64").round(3) if data.dtype.kind == "f" else data
    return {**example, "data": values.ravel().tolist()}
