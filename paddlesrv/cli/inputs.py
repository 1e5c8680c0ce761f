"""What INPUT means on the command line: a file, stdin, a text, or a row of features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from paddlesrv.tasks.base import InputKind, TaskInput

TEXT_TASKS = ("lexical-analysis", "sentiment-analysis", "text-embedding", "translation")
FEATURE_TASKS = ("click-through-rate",)
STDIN = "-"

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def kind_of(task: str) -> InputKind:
    """What a task is asked with.

    Raises:
        UsageError: it takes tensors, which the command line cannot give.
    """
    if task == "tensors":
        raise UsageError(
            "this model takes tensors, and `predict` has none to give",
            hints=["serve it, and POST tensors to /v2/models/MODEL/infer"],
        )
    if task in TEXT_TASKS:
        return "text"
    return "features" if task in FEATURE_TASKS else "image"


def example_input(task: str) -> str:
    """A word for INPUT that fits the task, for examples."""
    if task in TEXT_TASKS:
        return "'百度是一家高科技公司'"
    return "features.json" if task in FEATURE_TASKS else "picture.png"


def read(word: str, kind: InputKind | None, *, as_text: bool) -> TaskInput:
    """The input that a word stands for.

    Args:
        word: A path, `-`, or a text.
        kind: What the model takes; None where only its server knows, and the content decides.
        as_text: The word is a text, even where a file is called so.

    Raises:
        InvalidInput: there is no such file, or it does not hold what the model takes.
    """
    from paddlesrv.tasks.base import TaskInput

    if as_text:
        return TaskInput("text", word)
    if word == STDIN:
        return _from_bytes(sys.stdin.buffer.read(), kind, "stdin")
    path = Path(word).expanduser()
    if _is_file(path):
        try:
            return _from_bytes(path.read_bytes(), kind, word)
        except OSError as error:
            raise InvalidInput(f"{word} cannot be read: {error.strerror}") from error
    if kind == "text":
        return TaskInput("text", word)
    if kind == "features" or (kind is None and word[:1] in ("[", "{")):
        return TaskInput("features", _features(word.encode(), word))
    raise InvalidInput(
        f"{word} is not a file",
        context={"wanted": "the path of a picture, or - for stdin"},
        hints=[] if kind == "image" else [f"if it is a text: --text {word!r}"],
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long text is no path
        return False


def _from_bytes(content: bytes, kind: InputKind | None, origin: str) -> TaskInput:
    from paddlesrv.tasks.base import TaskInput

    if kind is None:
        kind = _guess(content)
    if kind == "image":
        return TaskInput("image", content)
    if kind == "features":
        return TaskInput("features", _features(content, origin))
    try:
        return TaskInput("text", content.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{origin} is not a text in UTF-8") from error


def _guess(content: bytes) -> InputKind:
    if content.startswith(_PICTURES) or content[8:12] == b"WEBP" or b"\0" in content[:1024]:
        return "image"
    return "features" if content.lstrip()[:1] in (b"[", b"{") else "text"


def _features(content: bytes, origin: str) -> dict[str, object] | list[object]:
    import msgspec

    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{origin} is not JSON: {error}", context={"wanted": "a list or an object of features"}
        ) from error
    if not isinstance(value, list | dict):
        raise InvalidInput(f"{origin} holds no features", context={"wanted": "a list or an object"})
    return value
