"""Damage by structure: JSON whose values, keys and text are wrong; messages whose fields are.

Random bytes seldom pass a parser. What is made here mostly does, and says something impossible.
Everything follows from the generator that is given, so that a seed is enough to see it again.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import RpcMeta

from tests.protocols import brpc_client
from tests.unit.server.damage import damaged

LARGE = (
    2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**100, 10**400,
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -(2**63), -(2**63) - 1, *LARGE, 0.5, -0.0, 1e308, 1e39, "", "x",
    "0", "-1", "1e5", "NaN", "FP32", "BYTES", "INT64", "BF16", "é\u0000", "x" * 300, [], [[]],
    [[], [1]], {}, {"b64": "AA=="}, {"b64": "?"}, {"b64": 1}, [None], [{}], [0] * 20,
    [0, 2**62], [0, 2**63], [0, 2**64], [2**32, 2**32, 2**32], [-1, -1], [3.0], ["3"],
)  # fmt: skip

WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"-1e999", b"1" * 400, b"0x10", b"01", b"'x'", b"//", b"/**/",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf", b"\x00", b"{" * 50, b"[" * 50, b"]" * 50, b",", b":", b'"', b"\\",
    b'{"__class__": 1}', b"undefined", b"true", b"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
)  # fmt: skip
"""What stands in place of a piece of text."""

DEEP = (40, 70, 500, 1200, 20_000)
"""Levels of nesting: more than numpy, msgspec or Python's stack take."""


def damaged_json(seed: int, original: Any) -> bytes:
    """A JSON text that began as `original`."""
    chance = random.Random(seed)
    tree = copy.deepcopy(original)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        tree = _change(chance, tree)
    body = json.dumps(tree).encode()
    kind = chance.randrange(8)
    if kind == 0:
        return damaged(seed, body)
    if kind == 1:
        word = chance.choice(WORDS)
        place = chance.randrange(len(body) + 1)
        return body[:place] + word + body[place + chance.choice((0, 1, len(word))) :]
    if kind == 2:  # the first number or text becomes another word
        places = [i for i, byte in enumerate(body) if byte in b":,["]
        if places:
            place = chance.choice(places) + 1
            end = next((i for i in range(place, len(body)) if body[i] in b",]}"), place)
            return body[:place] + chance.choice(WORDS) + body[end:]
    if kind == 3 and isinstance(tree, dict) and tree:  # a key comes twice
        name = chance.choice(list(tree))
        other = json.dumps({name: chance.choice(VALUES)}).encode()
        return body[:-1] + b", " + other[1:]
    if kind == 4 and chance.random() < 0.1:
        depth = chance.choice(DEEP)
        place = chance.choice([i for i, byte in enumerate(body) if byte in b":[,"] or [0]) + 1
        opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return body[:place] + opening * depth + b"1" + closing * depth + body[place:]
    return body


def _change(chance: random.Random, tree: Any) -> Any:
    """One place of a tree changed; the tree is changed too."""
    places = list(_places(tree))
    if not places or chance.random() < 0.02:
        return copy.deepcopy(chance.choice(VALUES))
    holder, key = chance.choice(places)
    kind = chance.randrange(7)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 1:
        holder[chance.choice(("name", "x", "data", "", "x.lod"))] = holder[key]
    elif kind == 2:
        holder[key] = [holder[key]] * chance.choice((1, 2, 17))
    elif kind == 3 and isinstance(holder[key], int | float):
        holder[key] = chance.choice((-holder[key], holder[key] + 1, holder[key] - 1, *LARGE))
    elif kind == 4:
        other, place = chance.choice(places)
        try:
            holder[key] = copy.deepcopy(other[place])
        except (IndexError, KeyError):  # it went with what was deleted
            holder[key] = None
    else:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    return tree


def _places(tree: Any) -> Any:
    if isinstance(tree, dict):
        for key in tree:
            yield tree, key
            yield from _places(tree[key])
    elif isinstance(tree, list):
        for index in range(len(tree)):
            yield tree, index
            yield from _places(tree[index])


# -- messages ------------------------------------------------------------------------------------

_NUMBERS = (0, 1, 2, 3, 13, 20, -1, 127, 128, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1,
            -(2**63), 2**64 - 1)  # fmt: skip
_LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
_TEXTS = ("", "x", "y", "FP32", "FP16", "BYTES", "INT64", "BOOL", "é", "x" * 3000, "x.lod", "\0")
_RAW = (
    b"\xff" * 9 + b"\x7f",  # a varint that is too long
    b"\x0a\xff\xff\xff\xff\x07",  # a text of two gigabytes
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # and one of a negative length
    b"\x0b" * 200,  # groups that never end
    b"\x0c",  # the end of none
    b"\x0f\x00",  # a wire type that there is not
    b"\x00\x00",  # field 0
    b"\x0a\x02\xff\xfe",  # no UTF-8
    b"\x0a\x00" * 50,
)


def damaged_message(seed: int, original: Any) -> bytes:
    """The bytes of a protobuf message that began as `original`."""
    chance = random.Random(seed)
    if chance.random() < 0.25:
        return damaged(seed, original.SerializeToString())
    message = type(original).FromString(original.SerializeToString())
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _change_message(chance, message)
    body: bytes = message.SerializeToString()
    kind = chance.randrange(8)
    if kind == 0:
        place = chance.randrange(len(body) + 1)
        return body[:place] + chance.choice(_RAW) + body[place:]
    if kind == 1:
        return body[: chance.randrange(len(body) + 1)]
    if kind == 2:
        return body + original.SerializeToString()  # messages that are merged
    return body


def _change_message(chance: random.Random, message: Any) -> None:
    """One field, here or deeper, set to something else."""
    inner = [
        part
        for field, value in message.ListFields()
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
        for part in _parts(field, value)
    ]
    if inner and chance.random() < 0.75:
        _change_message(chance, chance.choice(inner))
        return
    present = [field for field, _ in message.ListFields()]
    field = chance.choice(present or list(message.DESCRIPTOR.fields) or [None])
    if chance.random() < 0.3 and message.DESCRIPTOR.fields:
        field = chance.choice(message.DESCRIPTOR.fields)
    if field is None:
        return
    if chance.random() < 0.15:
        message.ClearField(field.name)
        return
    make = _maker(field)
    if _is_map(field):
        return
    if not field.is_repeated:
        if make is None:
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, make(chance))
        return
    values = getattr(message, field.name)
    kind = chance.randrange(4)
    if make is None:
        if values and kind == 0:
            del values[chance.randrange(len(values))]
        elif values and kind == 1:
            values.add().CopyFrom(values[chance.randrange(len(values))])
        else:
            values.add()
    elif values and kind == 0:
        del values[chance.randrange(len(values))]
    elif values and kind == 1:
        values[chance.randrange(len(values))] = make(chance)
    else:
        values.extend(make(chance) for _ in range(chance.choice((1, 1, 2, 20))))


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and kind.GetOptions().map_entry


def _parts(field: Any, value: Any) -> list[Any]:
    if _is_map(field):
        made = field.message_type.fields_by_name["value"].message_type is not None
        return [value[key] for key in value] if made else []
    return list(value) if field.is_repeated else [value]


def _maker(field: Any) -> Callable[[random.Random], Any] | None:
    """Makes a value of a field; None for messages."""
    kind = field.cpp_type
    if kind in _LIMITS:
        low, high = _LIMITS[kind]
        numbers = [number for number in _NUMBERS if low <= number <= high]
        if kind == FieldDescriptor.CPPTYPE_ENUM and field.enum_type.is_closed:
            numbers = [value.number for value in field.enum_type.values]
        return lambda chance: chance.choice(numbers)
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return lambda chance: chance.choice((0.0, -1.5, 3e38, float("nan"), float("inf")))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return lambda chance: chance.random() < 0.5
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda chance: chance.choice((b"", b"\0", b"\xff" * 4, chance.randbytes(12)))
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return lambda chance: chance.choice(_TEXTS)
    return None


# -- frames --------------------------------------------------------------------------------------


def brpc_frame(body: bytes, number: int = 5, *, attachment: bytes = b"") -> bytes:
    """A sound frame of a call."""
    meta = RpcMeta(correlation_id=number)
    meta.request.service_name = brpc_client.SERVICE
    meta.request.method_name = "inference"
    return baidu_std.encode(meta, body, attachment)


def damaged_frame(seed: int, body: bytes) -> bytes:
    """A frame with a wrong length, a wrong meta, or wrong bytes."""
    chance = random.Random(seed)
    whole = brpc_frame(body, attachment=b"attached" if seed % 2 else b"")
    _, size, meta_size = baidu_std.HEADER.unpack_from(whole)
    kind = seed % 3
    if kind == 0:
        return damaged(seed, whole)
    meta = whole[12 : 12 + meta_size]
    rest = whole[12 + meta_size :]
    if kind == 1:
        sizes = (0, 1, size - 1, size + 1, meta_size, 2**16, 2**31, 2**32 - 1)
        head = baidu_std.HEADER.pack(
            b"PRPC", chance.choice((size, *sizes)), chance.choice((meta_size, *sizes))
        )
        return head + meta + rest
    meta = damaged_message(seed, RpcMeta.FromString(meta))
    return baidu_std.HEADER.pack(b"PRPC", len(meta) + len(rest), len(meta)) + meta + rest
