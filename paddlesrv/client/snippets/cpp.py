"""Questions in C++17, for the client in `clients/cpp`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paddlesrv.client.snippets.address import host_and_port
from paddlesrv.client.snippets.examples import ExampleTensor
from paddlesrv.client.snippets.question import Question, Spoken
from paddlesrv.errors import UsageError
from paddlesrv.models.spec import TensorSpec

_TYPES = {
    "bool": "bool", "uint8": "std::uint8_t", "int8": "std::int8_t", "uint16": "std::uint16_t",
    "int16": "std::int16_t", "uint32": "std::uint32_t", "int32": "std::int32_t",
    "uint64": "std::uint64_t", "int64": "std::int64_t", "float32": "float", "float64": "double",
}  # fmt: skip
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "?": "\\?"}
_COMPILE = "g++ -std=c++17 ask.cpp -o ask $(pkg-config --cflags --libs paddlesrv_client) -pthread"
_ALL_OUTPUTS = """\
for (const auto& output : answer.outputs) {
  std::cout << output.name << ' ' << name_of(output.tensor.datatype()) << '\\n';
}"""


class Cpp:
    """The client for C++, over HTTP and bRPC."""

    name = "cpp"
    file = "ask.cpp"
    protocols: tuple[Spoken, ...] = ("http", "brpc")

    def places(self, question: Question) -> dict[str, str]:
        """What stands in the templates' places.

        Raises:
            UsageError: the client has no such type.
        """
        host, port = host_and_port(question.url)
        return {
            "compile": _COMPILE,
            "url": string(question.url),
            "host": string(host),
            "port": str(port),
            "model": string(question.model),
            "text": string(question.text),
            "features": "\n".join(_feature(*each) for each in (question.features or {}).items()),
            "inputs": "\n".join(_tensor(each) for each in question.inputs),
            "outputs": "\n".join(_output(each) for each in question.outputs) or _ALL_OUTPUTS,
        }

    def run(self, question: Question) -> list[str]:
        """The commands that compile the saved program and run it."""
        return [_COMPILE, "./ask picture.png" if question.kind == "picture" else "./ask"]


def _feature(name: str, values: list[int] | list[str]) -> str:
    kind = "std::string" if any(isinstance(value, str) for value in values) else "int"
    return f"{{{string(name)}, Json(std::vector<{kind}>{{{_items(values)}}})}},"


def _tensor(tensor: ExampleTensor) -> str:
    shape = "{" + ", ".join(map(str, tensor.shape)) + "}"
    if tensor.dtype == "bytes":
        made = f"Tensor::of_strings({shape}, {{{_items(tensor.values or ())}}})"
    elif tensor.dtype == "float16":
        made = f"Tensor::of_halves({shape}, {_values(tensor, 'float')})"
    elif tensor.dtype in _TYPES:
        kind = _TYPES[tensor.dtype]
        made = f"Tensor::of<{kind}>({shape}, {_values(tensor, kind)})"
    else:
        raise UsageError(f"tensor {tensor.name!r} is of {tensor.dtype}, which no client sends")
    if tensor.lod is not None:
        made += f".with_lod({{{', '.join(map(str, tensor.lod))}}})"
    return f"{{{string(tensor.name)}, {made}}},"


def _values(tensor: ExampleTensor, kind: str) -> str:
    if tensor.values is None:
        return f"std::vector<{kind}>({tensor.count})"
    return "{" + _items(tensor.values, "f" if kind == "float" else "") + "}"


def _items(values: Sequence[bool | float | str], suffix: str = "") -> str:
    return ", ".join(
        string(v) if isinstance(v, str) else f"{json.dumps(v)}{suffix}" for v in values
    )


def _output(tensor: TensorSpec) -> str:
    found = f"answer.output({string(tensor.name)})"
    if tensor.dtype == "bytes":
        return f"for (const auto& text : {found}.strings()) std::cout << text << '\\n';"
    if tensor.dtype == "float16":
        read = f"{found}.to_floats()"
    elif tensor.dtype in _TYPES:
        read = f"{found}.values<{_TYPES[tensor.dtype]}>()"
    else:
        return f"show({string(tensor.name)}, {found}.shape());"
    return f"show({string(tensor.name)}, {read});"


def string(text: str) -> str:
    """A text as a literal of its bytes in UTF-8.

    What has no letter of its own is written in octal, always with three digits: more would be
    taken for its own. `?` is escaped, since two of them begin a trigraph for some compilers.
    """
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))
