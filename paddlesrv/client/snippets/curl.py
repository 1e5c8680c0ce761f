"""Questions for a POSIX shell, asked with curl."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote

from paddlesrv.client.snippets.examples import ExampleTensor
from paddlesrv.client.snippets.question import Question, Spoken
from paddlesrv.errors import UsageError

_DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "int8": "INT8", "uint16": "UINT16", "int16": "INT16",
    "uint32": "UINT32", "int32": "INT32", "uint64": "UINT64", "int64": "INT64",
    "float32": "FP32", "float64": "FP64", "bytes": "BYTES",
}  # fmt: skip
_ZEROS = """zeros() { yes 0 | head -n "$1" | paste -sd, -; }"""


class Curl:
    """curl, over HTTP; tensors go as JSON."""

    name = "curl"
    file = "ask.sh"
    protocols: tuple[Spoken, ...] = ("http",)

    def places(self, question: Question) -> dict[str, str]:
        """What stands in the templates' places.

        Raises:
            UsageError: JSON cannot carry a tensor.
        """
        model = quote(question.model, safe="")
        tensors = [line for each in question.inputs for line in _tensor(each)]
        return {
            "predict": shlex.quote(f"{question.url}/predict/{model}"),
            "infer": shlex.quote(f"{question.url}/v2/models/{model}/infer"),
            "text": shlex.quote(question.text),
            "features": shlex.quote(json.dumps({"features": question.features})),
            "zeros": _ZEROS if any(t.values is None for t in question.inputs) else "",
            "tensors": ",\n".join(tensors),
        }

    def run(self, question: Question) -> list[str]:
        """The command that runs the saved program."""
        return ["sh ask.sh picture.png" if question.kind == "picture" else "sh ask.sh"]


def _tensor(tensor: ExampleTensor) -> list[str]:
    """A tensor, and its offsets, which travel as one more, as JSON in a here-document."""
    if tensor.dtype not in _DATATYPES:
        raise UsageError(
            f"tensor {tensor.name!r} is of {tensor.dtype}, which JSON cannot carry",
            hints=["take another language: --lang python, java or cpp"],
        )
    values = f"$(zeros {tensor.count})"
    if tensor.values is not None:
        values = ", ".join(here_document(json.dumps(value)) for value in tensor.values)
    name = here_document(json.dumps(tensor.name))
    rest = f'"shape": {list(tensor.shape)}, "datatype": "{_DATATYPES[tensor.dtype]}"'
    lines = [f'{{"name": {name}, {rest}, "data": [{values}]}}']
    if tensor.lod is not None:
        name = here_document(json.dumps(f"{tensor.name}.lod"))
        rest = f'"shape": [{len(tensor.lod)}], "datatype": "INT64", "data": {list(tensor.lod)}'
        lines.append(f'{{"name": {name}, {rest}}}')
    return lines


def here_document(text: str) -> str:
    """JSON as it is written in a here-document, where the shell replaces `$`, backquotes and `\\`.

    An interactive shell takes `!` for its history even there.
    """
    text = text.replace("!", "\\u0021")
    for character in "\\$`":
        text = text.replace(character, f"\\{character}")
    return text
