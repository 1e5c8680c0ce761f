"""Forms (`multipart/form-data`, RFC 7578): what a browser or `curl -F` sends to `/predict`."""

from __future__ import annotations

from typing import Any

from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError

from paddlesrv.errors import InvalidInput
from paddlesrv.tasks.base import TaskInput


def form_items(content_type: bytes, body: bytes) -> list[TaskInput]:
    """The files of a form, each a picture; a field named `text` is a text.

    Raises:
        InvalidInput: it is no form, or has neither.
    """
    items: list[TaskInput] = []

    def add_file(part: Any) -> None:
        part.file_object.seek(0)
        items.append(TaskInput("image", part.file_object.read()))
        part.close()

    def add_field(part: Any) -> None:
        if part.field_name == b"text":
            items.append(TaskInput("text", (part.value or b"").decode(errors="replace")))

    headers = {
        "Content-Type": content_type,
        "Content-Length": b"%d" % len(body),
    }
    settings = {"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_BODY_SIZE": float("inf")}
    try:
        parser = create_form_parser(headers, add_field, add_file, config=settings)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"the form is not multipart/form-data: {error}") from None
    if not items:
        raise InvalidInput(
            "the form has no file", hints=["curl -F image=@picture.png .../predict/..."]
        )
    return items
