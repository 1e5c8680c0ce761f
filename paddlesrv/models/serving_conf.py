"""`serving_server_conf.prototxt`: the names by which Paddle Serving's clients call tensors.

One message, as text and, in `serving_server_conf.stream.prototxt`, as bytes:
GeneralModelConfig{repeated feed_var=1, repeated fetch_var=2}, each {name=1, alias_name=2,
is_lod_tensor=3, feed_type | fetch_type=4, repeated shape=5}. Shapes are without the batch
dimension and all others that are open. Source: PaddlePaddle/Serving v0.7.0,
core/configure/proto/general_model_config.proto and python/paddle_serving_client/io. Format of the
text: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.errors import IntegrityError
from paddlesrv.models import wire
from paddlesrv.models.spec import DType, TensorSpec
from paddlesrv.models.wire import Malformed

FILE_NAME = "serving_server_conf.prototxt"
CLIENT_FILE_NAME = "serving_client_conf.prototxt"
SIZE_MAX_BYTES = 1 << 20
_DEPTH_MAX = 8
_TYPES: dict[int, DType] = {
    0: "int64", 1: "float32", 2: "int32", 3: "float64", 4: "int16", 5: "float16", 6: "bfloat16",
    7: "uint8", 8: "int8", 9: "bool",
}  # fmt: skip

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<word>[-+]?[A-Za-z0-9_.]+)
      | (?P<mark>[:{}<>\[\],;])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Variable(msgspec.Struct, frozen=True):
    """One `feed_var` or `fetch_var`."""

    name: str
    alias: str
    is_lod: bool = False
    type_code: int = 0
    shape: tuple[int, ...] = ()


class ServingConf(msgspec.Struct, frozen=True):
    """The variables that clients feed and fetch, in the file's order."""

    feeds: tuple[Variable, ...]
    fetches: tuple[Variable, ...]


def read(directory: Path, name: str = FILE_NAME) -> ServingConf | None:
    """The config in a directory, from its text or else from its bytes; None if neither is there.

    Raises:
        IntegrityError: it is damaged.
    """
    stem, _, suffix = name.rpartition(".")
    for path, reader in (
        (directory / name, parse),
        (directory / f"{stem}.stream.{suffix}", decode),
    ):
        if path.is_file():
            try:
                with path.open("rb") as file:
                    return reader(file.read(SIZE_MAX_BYTES + 1))
            except Malformed as error:
                raise IntegrityError(f"{path.name} is damaged: {error}") from error
    return None


def doubts(conf: ServingConf, inputs: Sequence[TensorSpec]) -> list[str]:
    """Where the config says something else of the inputs than the network; the network is right.

    Clients go by their copy of the config, so these are what they will send and be refused.
    """
    own = {tensor.name: tensor for tensor in inputs}
    fetched = {fetch.alias for fetch in conf.fetches}
    found = [
        f"it calls both an input and an output {feed.alias!r}: feed it as {feed.name!r}"
        for feed in conf.feeds
        if feed.alias in fetched
    ]
    for feed in conf.feeds:
        tensor = own.get(feed.name)
        if tensor is None:
            found.append(f"it feeds {feed.name!r}, which the network has not")
            continue
        said = _TYPES.get(feed.type_code, f"type {feed.type_code}")
        if said != tensor.dtype:
            found.append(f"it feeds {feed.alias!r} as {said}, the network takes {tensor.dtype}")
        if feed.is_lod != bool(tensor.lod_level):
            words = ("a sequence", "no sequence") if feed.is_lod else ("no sequence", "one")
            found.append(f"to it, {feed.alias!r} is {words[0]}, to the network {words[1]}")
        elif not feed.is_lod and not _fits(feed.shape, tensor.shape):
            found.append(
                f"it feeds {feed.alias!r} with rows of {list(feed.shape)}, the network takes "
                f"{list(tensor.shape[1:])}"
            )
    return found


def _fits(said: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a shape without its open dimensions can be the network's; -1 is any."""
    if len(said) == len(shape) - 1:
        return all(a == b or min(a, b) < 1 for a, b in zip(said, shape[1:], strict=True))
    fixed = [side for side in shape if side > 0]
    return len(said) != len(fixed) or list(said) == fixed


def decode(data: bytes) -> ServingConf:
    """The config that the bytes of a message say.

    Raises:
        Malformed: they are none of it.
    """
    if len(data) > SIZE_MAX_BYTES:
        raise Malformed(f"it is {len(data)} bytes long, more than {SIZE_MAX_BYTES}")
    sides: dict[int, list[Variable]] = {1: [], 2: []}
    for number, value in wire.fields(memoryview(data)):
        if number in sides:
            sides[number].append(_decoded(wire.submessage(value, "a variable")))
    return ServingConf(feeds=tuple(sides[1]), fetches=tuple(sides[2]))


def _decoded(message: memoryview) -> Variable:
    name, alias, is_lod, type_code = "", "", False, 0
    shape: list[int] = []
    for number, value in wire.fields(message):
        if number == 1:
            name = wire.text(value, "a variable's name")
        elif number == 2:
            alias = wire.text(value, "a variable's alias")
        elif number == 3:
            is_lod = bool(wire.number(value, "is_lod_tensor"))
        elif number == 4:
            type_code = wire.number(value, "a variable's type")
        elif number == 5:
            shape += wire.numbers(value)
    if not name:
        raise Malformed("a variable has no name")
    return Variable(name, alias or name, is_lod, type_code, tuple(shape))


def parse(data: bytes) -> ServingConf:
    """The config that a file's bytes say.

    Raises:
        Malformed: the bytes are not such a text.
    """
    if len(data) > SIZE_MAX_BYTES:
        raise Malformed(f"it is {len(data)} bytes long, more than {SIZE_MAX_BYTES}")
    try:
        source = data.decode()
    except UnicodeDecodeError:
        raise Malformed("it is not UTF-8 text") from None
    message = _message(_tokens(source), "", 0)
    return ServingConf(
        feeds=tuple(_variable(entry, "feed_type") for entry in message.get("feed_var", ())),
        fetches=tuple(_variable(entry, "fetch_type") for entry in message.get("fetch_var", ())),
    )


def _variable(entry: Any, type_field: str) -> Variable:
    if not isinstance(entry, dict) or not entry.get("name"):
        raise Malformed("a variable has no name")
    last = {field: values[-1] for field, values in entry.items() if values}
    plain = {
        "name": last["name"],
        "alias": last.get("alias_name") or last["name"],
        "is_lod": str(last.get("is_lod_tensor", "false")).lower() in ("true", "t", "1"),
        "type_code": last.get(type_field, 0),
        "shape": entry.get("shape", ()),
    }
    try:
        return msgspec.convert(plain, Variable, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(f"variable {last['name']!r}: {error}") from None


def _message(tokens: Iterator[str], closing: str, depth: int) -> dict[str, list[Any]]:
    """All fields up to the closing mark; each is a list, for any may be repeated."""
    if depth > _DEPTH_MAX:
        raise Malformed("its messages are nested too deeply")
    found: dict[str, list[Any]] = {}
    for piece in tokens:
        if piece == closing:
            return found
        if piece in (",", ";"):
            continue
        if not (piece[0].isalpha() or piece[0] == "_"):
            raise Malformed(f"{piece!r} stands where a field's name is expected")
        values = found.setdefault(piece, [])
        mark = _next(tokens)
        if mark == ":":
            mark = _next(tokens)
        elif mark not in ("{", "<"):
            raise Malformed(f"{mark!r} follows the field {piece!r}")
        if mark == "[":
            values.extend(_list(tokens, depth))
        else:
            values.append(_value(mark, tokens, depth))
    if closing:
        raise Malformed(f"it ends before a closing {closing!r}")
    return found


def _list(tokens: Iterator[str], depth: int) -> Iterator[Any]:
    for piece in tokens:
        if piece == "]":
            return
        if piece != ",":
            yield _value(piece, tokens, depth)
    raise Malformed("it ends in the middle of a list")


def _value(piece: str, tokens: Iterator[str], depth: int) -> Any:
    if piece in ("{", "<"):
        return _message(tokens, "}" if piece == "{" else ">", depth + 1)
    if piece[0] in "\"'":
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), piece[1:-1])
    if piece in ":}>[],;":
        raise Malformed(f"{piece!r} stands where a value is expected")
    return piece


def _next(tokens: Iterator[str]) -> str:
    piece = next(tokens, None)
    if piece is None:
        raise Malformed("it ends in the middle of a field")
    return piece


def _tokens(source: str) -> Iterator[str]:
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise Malformed(f"unexpected {source[position]!r} at character {position}")
        position = match.end()
        if match.lastgroup != "space":
            yield match[0]
