"""Paddle Serving's pipelines and its older web services, asked of the models that are served.

A model with a task is asked as its web service was: each key holds a picture in base64, a text, or
features, and several keys are a batch. A model of tensors alone takes numbers as text, by the
names of its inputs. Where arrays are sent to a model with a task, they are its network's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.protocols import paddle_answers, paddle_serving, tensorflow_rest
from paddlesrv.server.protocols.paddle_pipeline import PROFILE, PipelineRequest
from paddlesrv.server.protocols.paddle_serving import GeneralRequest, Named, alias_of
from paddlesrv.server.protocols.written_numbers import ARRAY, fitted, read_numbers, write_numbers
from paddlesrv.server.request import InferRequest, InferResponse, Timing
from paddlesrv.server.service import ServedModel, Service
from paddlesrv.server.validation import LOD_SUFFIX
from paddlesrv.tasks.base import InputKind, Task, TaskInput, TaskOptions

T = TypeVar("T")

LONG = 64 << 10
"""Characters of numbers, or numbers to write, from which on a thread does it."""

_OFFSETS = TensorSpec(name="offsets", dtype="int64", shape=(-1,))

_BEST = TaskOptions(top=1)
"""Their examples answer the likeliest class alone."""


class Feed(NamedTuple):
    """The older form: samples, each a value by the name of an input, and the outputs wanted."""

    samples: list[dict[str, Any]]
    fetch: list[str]


# -- which model -------------------------------------------------------------------------------


def choose(service: Service, request: PipelineRequest, model: str | None = None) -> ServedModel:
    """The model that a request is meant for: by name, or because nothing else can be meant.

    Raises:
        NotFound: it is not served.
        InvalidInput: no name is said, and several models could be meant.
    """
    name = model or request.name
    if name:
        return service.find(name)
    parts = {id(part) for each in service.models.values() for part in each.components}
    whole = [each for each in service.models.values() if id(each) not in parts]
    if len(whole) > 1:
        keys = {key.removesuffix(LOD_SUFFIX) for key in (*request.texts, *request.tensors)}
        whole = [each for each in whole if _takes(each.setup.spec, keys)] or whole
    if len(whole) == 1:
        return whole[0]
    raise InvalidInput(
        "several models could be meant" if whole else "no model is served",
        context={"models": ", ".join(each.name for each in whole) or "none"},
        hints=["say which: in the message's field 'name', or in the metadata 'model'"],
    )


def _takes(spec: ModelSpec, keys: set[str]) -> bool:
    return {_own(spec, key) for key in keys} == {tensor.name for tensor in spec.inputs}


def _own(spec: ModelSpec, word: str) -> str:
    """The network's name of an input, which may be called by its alias."""
    return word if spec.input(word) is not None else spec.aliases.get(word, word)


# -- key and value -----------------------------------------------------------------------------


async def answer(
    service: Service, model: ServedModel, request: PipelineRequest, timeout: float | None = None
) -> dict[str, str]:
    """The texts that answer a request, by key.

    Raises:
        InvalidInput: keys or values are none of the model's; and all that `Service.infer` and
            `Service.predict` raise.
    """
    task = model.setup.task
    if not request.texts and not request.tensors:
        raise InvalidInput(
            "the request has no input", context={"wanted": _wanted(model.setup.spec, task)}
        )
    if task is None or _are_tensors(model.setup.spec, request):
        spec = model.setup.spec
        size = sum(len(text) for text in request.texts.values())
        asked = await _in_thread(service, size, _tensors, spec, request)
        asked.timeout = timeout
        response = await service.infer(asked)
        count = sum(tensor.data.size for tensor in response.outputs.values())
        found = await _in_thread(service, count, _written, spec, response)
        timing = response.timing
    else:
        items = _items(task, request.texts)
        prediction = await service.predict(model.name, items, _BEST, timeout)
        found = paddle_answers.as_texts(paddle_answers.told(task.name, prediction.results))
        timing = prediction.timing
    return found | {PROFILE: _profile(timing)} if request.profile else found


def _are_tensors(spec: ModelSpec, request: PipelineRequest) -> bool:
    """Whether arrays were sent: as tensors, or as `PipelineClient` writes them."""
    if request.tensors:
        return True
    return all(
        value.startswith(ARRAY) and spec.input(_own(spec, key.removesuffix(LOD_SUFFIX))) is not None
        for key, value in request.texts.items()
    )


def _tensors(spec: ModelSpec, request: PipelineRequest) -> InferRequest:
    """The request to a network; offsets come with a tensor, or as `NAME.lod` beside it."""
    sent = dict(request.tensors)
    offsets: dict[str, tuple[int, ...]] = {}
    for key, text in request.texts.items():
        if key.endswith(LOD_SUFFIX) and spec.input(_own(spec, key)) is None:
            numbers = read_numbers(key, text, _OFFSETS).ravel()
            offsets[key.removesuffix(LOD_SUFFIX)] = tuple(int(each) for each in numbers)
    for key, text in request.texts.items():
        declared = spec.input(_own(spec, key))
        if declared is not None:
            array = read_numbers(key, text, declared)
            # A sequence alone needs no offsets to be told from others.
            whole = (0, len(array)) if declared.lod_level and array.ndim else None
            sent[key] = Tensor(array, whole)
        elif key.removesuffix(LOD_SUFFIX) not in offsets:
            raise InvalidInput(
                f"model {spec.name!r} has no input {key!r}", context={"wanted": _wanted(spec, None)}
            )
    for key, found in offsets.items():
        if key not in sent:
            raise InvalidInput(f"offsets for input {key!r}, which was not sent")
        sent[key] = Tensor(sent[key].data, found)
    named = [Named(name, "", tensor) for name, tensor in sent.items()]
    return paddle_serving.bind(GeneralRequest(named, ()), spec)


def _items(task: Task, texts: Mapping[str, str]) -> list[TaskInput]:
    kind: InputKind = task.accepts[0]
    if kind == "image":
        return [TaskInput("image", picture(key, text)) for key, text in texts.items()]
    if kind == "text":
        return [TaskInput("text", text) for text in texts.values()]
    return [TaskInput("features", {key: _feature(text) for key, text in texts.items()})]


def picture(key: str, text: str) -> bytes:
    """The file of a picture in base64.

    Raises:
        InvalidInput: it is none.
    """
    try:
        # Line breaks and spaces, which some encoders put in, count for nothing.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            f"the value of {key!r} is no picture in base64",
            context={"found": repr(text[:40])},
        ) from None


def _feature(text: str) -> Any:
    """A number, numbers, or the text itself, which is a category."""
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    for kind in (int, float):
        try:
            numbers = [kind(word) for word in words]
        except ValueError:
            continue
        return numbers if "[" in text or len(numbers) != 1 else numbers[0]
    return text


def _written(spec: ModelSpec, response: InferResponse) -> dict[str, str]:
    found = {}
    for name, tensor in response.outputs.items():
        alias = alias_of(spec, name)
        found[alias] = write_numbers(tensor.data)
        if tensor.lod is not None:
            found[alias + LOD_SUFFIX] = str(list(tensor.lod))
    return found


def _profile(timing: Timing) -> str:
    parts = (("queue", timing.queue), ("compute", timing.compute), ("total", timing.total))
    return ", ".join(f"{name} {seconds * 1e3:.3f} ms" for name, seconds in parts)


# -- feed and fetch ----------------------------------------------------------------------------


async def answer_feed(service: Service, model: ServedModel, request: Feed) -> dict[str, Any]:
    """What the older web services answer: plain lists by alias.

    Raises:
        InvalidInput: samples or outputs are none of the model's; and all that `Service.infer` and
            `Service.predict` raise.
    """
    task, spec = model.setup.task, model.setup.spec
    if not request.samples:
        raise InvalidInput("'feed' has no sample", context={"wanted": _wanted(spec, task)})
    if task is not None and not _are_arrays(task, request.samples):
        items = [_sample(task, number, each) for number, each in enumerate(request.samples)]
        prediction = await service.predict(model.name, items, _BEST)
        return paddle_answers.told(task.name, prediction.results)
    asked = _fed(spec, request)
    response = await service.infer(asked)
    found: dict[str, Any] = {}
    for name, tensor in response.outputs.items():
        alias = alias_of(spec, name)
        found[alias] = tensorflow_rest.plain(tensor.data)
        if tensor.lod is not None:
            found[alias + LOD_SUFFIX] = list(tensor.lod)
    return found


def _are_arrays(task: Task, samples: Sequence[Mapping[str, Any]]) -> bool:
    if task.accepts[0] == "features":
        return False  # they are numbers too, and the task knows what they mean
    return all(not isinstance(value, str) for each in samples for value in each.values())


def _sample(task: Task, number: int, sample: Mapping[str, Any]) -> TaskInput:
    kind: InputKind = task.accepts[0]
    if kind == "features":
        return TaskInput("features", dict(sample))
    key, value = next(iter(sample.items())) if len(sample) == 1 else ("", None)
    if not isinstance(value, str):
        what = "picture in base64" if kind == "image" else "text"
        raise InvalidInput(
            f"sample {number} is not one {what}", context={"found": ", ".join(sample) or "nothing"}
        )
    if kind == "image":
        return TaskInput("image", picture(key, value))
    return TaskInput("text", value)


def _fed(spec: ModelSpec, request: Feed) -> InferRequest:
    columns = tensorflow_rest.columns_of(spec, list(request.samples))
    sequences = {}
    for word in list(columns):
        declared = spec.input(_own(spec, word))
        if declared is not None and declared.lod_level:
            sequences[word] = columns.pop(word)
    inputs = tensorflow_rest.inputs_of(spec, columns)
    for word, values in sequences.items():
        name = _own(spec, word)
        declared = spec.input(name)
        assert declared is not None
        parts = [
            fitted(tensorflow_rest.inputs_of(spec, {word: value})[name].data, declared)
            for value in values
        ]
        if len({part.shape[1:] for part in parts}) != 1 or not parts[0].ndim:
            raise InvalidInput(f"the samples of {word!r} differ in shape, or are no lists")
        ends = np.cumsum([len(part) for part in parts]).tolist()
        inputs[name] = Tensor(np.concatenate(parts), (0, *ends))
    named = [Named(name, "", tensor) for name, tensor in inputs.items()]
    return paddle_serving.bind(GeneralRequest(named, tuple(request.fetch)), spec)


# -- inside ------------------------------------------------------------------------------------


def _wanted(spec: ModelSpec, task: Task | None) -> str:
    if task is not None:
        return {"image": "pictures in base64"}.get(task.accepts[0], task.accepts[0])
    return ", ".join(alias_of(spec, tensor.name) for tensor in spec.inputs)


async def _in_thread(service: Service, size: int, function: Callable[..., T], *args: Any) -> T:
    if size < LONG:
        return function(*args)
    return await asyncio.get_running_loop().run_in_executor(service.pool, function, *args)
