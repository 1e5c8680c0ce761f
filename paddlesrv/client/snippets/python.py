"""Questions in Python, for `paddlesrv_client`."""

from __future__ import annotations

import json

from paddlesrv.client.snippets.examples import ExampleTensor
from paddlesrv.client.snippets.question import Question, Spoken
from paddlesrv.errors import UsageError

_BRPC_NOTE = "# bRPC names no model: the server finds the one that has these inputs."
_TYPES = {"bool": "np.bool_", "bytes": "object"}


class Python:
    """The client for Python, over all protocols."""

    name = "python"
    file = "ask.py"
    protocols: tuple[Spoken, ...] = ("http", "grpc", "brpc")

    def places(self, question: Question) -> dict[str, str]:
        """What stands in the templates' places.

        Raises:
            UsageError: numpy has no such type.
        """
        lods = [f"{string(t.name)}: {list(t.lod)}" for t in question.inputs if t.lod is not None]
        rows = (question.features or {}).items()
        spoken = [] if question.protocol == "http" else [string(question.protocol)]
        return {
            "package": "[grpc]" if question.protocol == "grpc" else "",
            "client": ", ".join([string(question.url), *spoken]),
            "model": string(question.model),
            "note": _BRPC_NOTE if question.protocol == "brpc" else "",
            "text": string(question.text),
            "features": "\n".join(f"{string(name)}: {json.dumps(v)}," for name, v in rows),
            "inputs": "\n".join(_tensor(each) for each in question.inputs),
            "lod": f", lod={{{', '.join(lods)}}}" if lods else "",
        }

    def run(self, question: Question) -> list[str]:
        """The command that runs the saved program."""
        return ["python ask.py picture.png" if question.kind == "picture" else "python ask.py"]


def _tensor(tensor: ExampleTensor) -> str:
    if tensor.dtype == "bfloat16":
        raise UsageError(f"tensor {tensor.name!r} is of bfloat16, which no client sends")
    dtype = _TYPES.get(tensor.dtype, f"np.{tensor.dtype}")
    if tensor.values is None:
        made = f"np.zeros({tensor.shape}, {dtype})"
    else:
        values = ", ".join(string(v) if isinstance(v, str) else repr(v) for v in tensor.values)
        made = f"np.array([{values}], {dtype})"
        if len(tensor.shape) != 1:
            made += f".reshape({tensor.shape})"
    return f"{string(tensor.name)}: {made},"


def string(text: str) -> str:
    """A text as a literal: JSON's, whose escapes Python has too, or one in ASCII.

    JSON writes what cannot be shown and lies beyond 16 bits as two surrogates, which Python does
    not take for one character.
    """
    literal = json.dumps(text, ensure_ascii=False)
    return literal if literal.isprintable() else ascii(text)
