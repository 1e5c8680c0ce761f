"""`serving_server_conf.prototxt`: the names by which Paddle Serving's clients call tensors.

A text protobuf of one message: GeneralModelConfig{repeated feed_var, repeated fetch_var}, each
{name, alias_name, is_lod_tensor, feed_type | fetch_type, repeated shape}. Shapes are without the
batch dimension. Format: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from paddlesrv.models.wire import Malformed

FILE_NAME = "serving_server_conf.prototxt"
SIZE_MAX_BYTES = 1 << 20
_DEPTH_MAX = 8

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
