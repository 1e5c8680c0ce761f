"""Questions in Java, for the client in `clients/java`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paddlesrv.client.snippets.examples import ExampleTensor
from paddlesrv.client.snippets.question import Question, Spoken
from paddlesrv.errors import UsageError
from paddlesrv.models.spec import TensorSpec

_MAKERS = {
    "bool": ("ofBooleans", "boolean"), "uint8": ("ofUint8s", "byte"), "int8": ("ofInt8s", "byte"),
    "uint16": ("ofUint16s", "int"), "int16": ("ofShorts", "short"),
    "uint32": ("ofUint32s", "long"), "int32": ("ofInts", "int"),
    "uint64": ("ofUint64s", "long"), "int64": ("ofLongs", "long"),
    "float16": ("ofHalfFloats", "float"), "float32": ("ofFloats", "float"),
    "float64": ("ofDoubles", "double"), "bytes": ("ofStrings", "String"),
}  # fmt: skip
_READERS = {
    "bool": "toBooleans", "uint8": "toInts", "int8": "toInts", "uint16": "toInts",
    "int16": "toInts", "uint32": "toLongs", "int32": "toInts", "uint64": "toUint64s",
    "int64": "toLongs", "float16": "toFloats", "float32": "toFloats", "float64": "toDoubles",
}  # fmt: skip


class Java:
    """The client for Java, over HTTP."""

    name = "java"
    file = "Ask.java"
    protocols: tuple[Spoken, ...] = ("http",)

    def places(self, question: Question) -> dict[str, str]:
        """What stands in the templates' places.

        Raises:
            UsageError: the client has no such type.
        """
        rows = (question.features or {}).items()
        return {
            "url": string(question.url),
            "model": string(question.model),
            "text": string(question.text),
            "features": ",\n".join(f"{string(name)}, List.of({_items(v)})" for name, v in rows),
            "inputs": "\n".join(_tensor(each) for each in question.inputs),
            "outputs": "\n".join(_output(each) for each in question.outputs)
            or "System.out.println(answer.outputs());",
        }

    def run(self, question: Question) -> list[str]:
        """The command that compiles the saved program and runs it."""
        command = "java -cp paddlesrv-client.jar Ask.java"
        return [f"{command} picture.png" if question.kind == "picture" else command]


def _tensor(tensor: ExampleTensor) -> str:
    if tensor.dtype not in _MAKERS:
        raise UsageError(f"tensor {tensor.name!r} is of {tensor.dtype}, which no client sends")
    maker, kind = _MAKERS[tensor.dtype]
    shape = ", ".join(map(str, tensor.shape))
    values = f"new {kind}[{tensor.count}]"
    if tensor.values is not None:
        suffix = "f" if kind == "float" else ""
        values = f"new {kind}[] {{{_items(tensor.values, suffix)}}}"
    lod = f".withLod({', '.join(map(str, tensor.lod))})" if tensor.lod is not None else ""
    made = f"Tensor.{maker}(new long[] {{{shape}}}, {values}){lod}"
    return f"inputs.put({string(tensor.name)}, {made});"


def _output(tensor: TensorSpec) -> str:
    lead, name = string(f"{tensor.name} "), string(tensor.name)
    if tensor.dtype == "bytes":
        return f"System.out.println({lead} + answer.output({name}).toStrings());"
    if tensor.dtype not in _READERS:
        return f"System.out.println({lead} + answer.output({name}));"
    read = f"answer.output({name}).{_READERS[tensor.dtype]}()"
    return f"System.out.println({lead} + Arrays.toString({read}));"


def _items(values: Sequence[bool | float | str], suffix: str = "") -> str:
    return ", ".join(
        string(v) if isinstance(v, str) else f"{json.dumps(v)}{suffix}" for v in values
    )


def string(text: str) -> str:
    """A text as a literal: JSON's, in ASCII, whatever the compiler takes the file's encoding for.

    Java reads `\\uXXXX` before anything else. JSON writes neither quotes, backslashes nor ends of
    lines in that way, so that the literal ends where it should.
    """
    return json.dumps(text)
