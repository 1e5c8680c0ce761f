"""JSON from outside: a typed message, or an error that says what is wrong with it."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from paddlesrv.errors import InvalidInput

T = TypeVar("T")


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes | memoryview, what: str) -> T:
    """The message in a body.

    Args:
        decoder: Of the message's type.
        body: Bytes from a client.
        what: What the body should be, with its article: "an inference request".

    Raises:
        InvalidInput: it is none; the message says where and why.
    """
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"the body is not {what}: {error}") from None
    except UnicodeDecodeError as error:  # in a text; msgspec does not make it one of its own
        raise InvalidInput(f"the body is not {what}: a text in it is not UTF-8: {error}") from None
    except RecursionError:
        raise InvalidInput("the request is nested too deeply") from None
