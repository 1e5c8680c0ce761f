"""Reading the protobuf wire format without a schema, from files that nobody vouches for.

Only what `program` and `onnx_graph` need: fields of one message, one after the other, without
copying what is skipped. Every number and length is checked before it is used, and a damaged file
gives `Malformed`, whatever its bytes are.
Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview

_VARINT_MAX_BYTES = 10
_PACKED_MAX = 1024  # the only packed numbers read here are shapes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}


class Malformed(ValueError):
    """A model file does not hold what its format asks for; the text says what is wrong."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in the file's order.

    A varint comes as an unsigned integer, everything else as its bytes.

    Raises:
        Malformed: a number or length that cannot be, or that leads out of the message.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise Malformed("a field has number 0")
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(message, position)
        elif wire_type in _FIXED_SIZE:
            size = _FIXED_SIZE[wire_type]
        else:
            raise Malformed(f"field {number} has wire type {wire_type}")
        if size > end - position:
            raise Malformed(f"field {number} is {size} bytes long, {end - position} are left")
        yield number, message[position : position + size]
        position += size


def submessage(value: Value, what: str) -> memoryview:
    """The bytes of a field that must be a message.

    Raises:
        Malformed: the field is a number.
    """
    if isinstance(value, int):
        raise Malformed(f"{what} is a number, not a message")
    return value


def text(value: Value, what: str) -> str:
    """The UTF-8 text of a field.

    Raises:
        Malformed: the field is a number, or its bytes are not UTF-8.
    """
    try:
        return str(submessage(value, what), "utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8 text") from None


def number(value: Value, what: str) -> int:
    """A field that must be one varint, as a signed 64-bit integer.

    Raises:
        Malformed: the field holds bytes.
    """
    if not isinstance(value, int):
        raise Malformed(f"{what} is not a number")
    return _signed(value)


def numbers(value: Value) -> list[int]:
    """One element of a repeated integer, or all of them where they are packed; signed.

    Raises:
        Malformed: the packed numbers end in the middle of one, or are far too many.
    """
    if isinstance(value, int):
        return [_signed(value)]
    found, position = [], 0
    while position < len(value):
        element, position = _varint(value, position)
        found.append(_signed(element))
        if len(found) > _PACKED_MAX:
            raise Malformed(f"a shape has more than {_PACKED_MAX} dimensions")
    return found


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for index, byte in enumerate(message[position : position + _VARINT_MAX_BYTES]):
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if result >> 64:
                break
            return result, position + index + 1
    raise Malformed("a number does not end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
