"""The easy way: `POST /predict/{model}` with a picture, a text or JSON, and JSON back."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from paddlesrv.errors import InvalidInput, UnsupportedMediaType
from paddlesrv.server.pictures import Picture
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.request import Timing
from paddlesrv.tasks.base import TaskInput, TaskOptions

SCHEMA = 1


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    image: str | None = None
    images: list[str] | None = None
    text: str | None = None
    texts: list[str] | None = None
    features: list[Any] | dict[str, Any] | None = None
    top: int | None = None
    threshold: float | None = None
    tokens: bool | None = None


class PredictOptions(msgspec.Struct, frozen=True):
    """What the query string asks for: options of the task, a picture back, a time limit (s)."""

    task: TaskOptions = TaskOptions()
    picture: Picture | None = None
    timeout: float | None = None


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()


def decode_query(query: bytes) -> PredictOptions:
    """Options from `?top=3&threshold=0.5&tokens=1&draw=1&timeout=2`; `map=1` for `draw=1`.

    Raises:
        InvalidInput: an unknown option, or a value that is none.
    """
    if not query:
        return PredictOptions()
    top, threshold, tokens, timeout = 5, None, False, None
    pictures: dict[Picture, bool] = {}
    if not query.isascii():
        raise InvalidInput("the query is not ASCII", hints=["write other characters as %C3%A9"])
    try:
        for name, value in parse_qsl(query.decode("ascii"), keep_blank_values=True):
            if name == "top":
                top = _at_least_one(int(value))
            elif name == "threshold":
                threshold = float(value)
            elif name == "tokens":
                tokens = _flag(value)
            elif name in ("draw", "map"):
                pictures["draw" if name == "draw" else "map"] = _flag(value)
            elif name == "timeout":
                timeout = float(value)
            else:
                raise InvalidInput(
                    f"unknown option {name!r} in the query",
                    context={"wanted": "top, threshold, tokens, draw, map, timeout"},
                )
    except ValueError:
        raise InvalidInput(f"option {name!r} has no such value: {value!r}") from None
    task = TaskOptions(top=top, threshold=threshold, tokens=tokens)
    wanted = [picture for picture, asked in pictures.items() if asked]
    if len(wanted) > 1:
        raise InvalidInput("draw and map are two pictures, and an answer is one")
    return PredictOptions(task, wanted[0] if wanted else None, timeout)


def decode(
    content_type: str, body: bytes, options: PredictOptions
) -> tuple[list[TaskInput], PredictOptions]:
    """Inputs from a body that is not a form: a picture, a text, or JSON.

    Raises:
        InvalidInput: the JSON is not a request.
        UnsupportedMediaType: neither a picture, nor a text, nor JSON.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or (not kind and body[:1] == b"{"):
        return _from_json(body, options)
    if kind.startswith("image/") or kind in ("", "application/octet-stream"):
        if not body:
            raise InvalidInput("the request has no body", context={"wanted": "a picture or JSON"})
        return [TaskInput("image", body)], options
    if kind == "text/plain":
        try:
            return [TaskInput("text", body.decode())], options
        except UnicodeDecodeError:
            raise InvalidInput("the text is not UTF-8") from None
    raise UnsupportedMediaType(
        f"content type {kind!r} is not taken here",
        context={"wanted": "image/*, multipart/form-data, application/json or text/plain"},
        hints=["curl --data-binary @picture.png -H 'content-type: image/png' ..."],
    )


def encode(model: str, task: str, results: list[msgspec.Struct], timing: Timing) -> bytes:
    """The answer: results in the order of the inputs, times in milliseconds."""
    return _encoder.encode(
        {
            "schema": SCHEMA,
            "model": model,
            "task": task,
            "results": results,
            "timing_ms": {
                "queue": round(timing.queue * 1e3, 3),
                "compute": round(timing.compute * 1e3, 3),
                "total": round(timing.total * 1e3, 3),
            },
        }
    )


def _from_json(body: bytes, options: PredictOptions) -> tuple[list[TaskInput], PredictOptions]:
    what = 'a prediction request, such as {"image": base64}, {"text": ...} or {"texts": [...]}'
    message = decode_json(_decoder, body, what)
    items: list[TaskInput] = []
    pictures = [message.image] if message.image is not None else []
    for picture in pictures + (message.images or []):
        items.append(TaskInput("image", from_base64(picture)))
    texts = [message.text] if message.text is not None else []
    items += [TaskInput("text", text) for text in texts + (message.texts or [])]
    if message.features is not None:
        rows = message.features
        many = isinstance(rows, list) and rows and isinstance(rows[0], list | dict)
        items += [TaskInput("features", row) for row in (rows if many else [rows])]
    task = options.task
    task = TaskOptions(
        top=_at_least_one(message.top) if message.top is not None else task.top,
        threshold=message.threshold if message.threshold is not None else task.threshold,
        tokens=message.tokens if message.tokens is not None else task.tokens,
    )
    return items, PredictOptions(task, options.picture, options.timeout)


def from_base64(text: str) -> bytes:
    """A picture's bytes from base64, or from a data URL of it.

    Raises:
        InvalidInput: it is none.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "the picture is not base64", hints=["or send the picture itself as the body"]
        ) from None


def _flag(value: str) -> bool:
    return value.lower() not in ("", "0", "false", "no")


def _at_least_one(value: int) -> int:
    if value < 1:
        raise InvalidInput("option 'top' must be at least 1")
    return value
