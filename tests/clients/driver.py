"""Programs that drive a client in another language: each does what a line of JSON says."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.models.tensor import dtype_name
from paddlesrv.server.protocols.datatypes import FROM_NUMPY, TO_NUMPY

KINDS = {
    "ServerException": "refused", "ServerError": "refused",
    "ConnectionFailedException": "connection", "ConnectionError": "connection",
    "DeadlineException": "deadline", "DeadlineError": "deadline",
    "MalformedAnswerException": "malformed", "MalformedAnswer": "malformed",
    "IllegalArgumentException": "argument", "invalid_argument": "argument", "JsonError": "argument",
}  # fmt: skip
"""What a failure is in any language, by the names that classes have in each."""


class Refused(Exception):
    """The driver's call failed; `told` has the error's kind (of `KINDS`), message and more."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(f"{told['kind']}: {told['message']}")
        self.told = told | {"kind": KINDS.get(told["kind"], told["kind"])}


class Driver:
    """A running program with clients in it."""

    def __init__(self, *command: str | Path) -> None:
        self.program = Path(command[0])
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, what: str, client: dict[str, Any] | str | None = None, **more: Any) -> Any:
        """One command; what came of it.

        Raises:
            Refused: an exception.
        """
        if isinstance(client, str):
            client = {"url": client}
        line = json.dumps({"do": what, "client": client, **more}, ensure_ascii=False)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the program has died of: {line[:2000]}"
        said = json.loads(answer)
        if "failed" in said:
            raise Refused(said["failed"])
        return said["ok"]

    def infer(
        self, client: dict[str, Any] | str, model: str, inputs: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """`infer` with arrays; its answer with arrays as `outputs` (and offsets as `lods`)."""
        told = self.ask("infer", client, model=model, inputs=pack(inputs), **more)
        outputs = told["outputs"]
        told["lods"] = {name: t["lod"] for name, t in outputs.items() if "lod" in t}
        told["outputs"] = {name: array(t) for name, t in outputs.items()}
        return told

    def close(self) -> None:
        """It ends when there are no more lines."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(30) == 0, "it did not end well"


def pack(inputs: dict[str, Any]) -> dict[str, Any]:
    """Arrays, or pairs of an array and its offsets, as the driver reads them."""
    packed = {}
    for name, value in inputs.items():
        data, lod = value if isinstance(value, tuple) else (value, None)
        packed[name] = wire(data) | ({"lod": lod} if lod is not None else {})
    return packed


def wire(data: np.ndarray) -> dict[str, Any]:
    """An array as the driver reads it."""
    told: dict[str, Any] = {"datatype": FROM_NUMPY[dtype_name(data)], "shape": list(data.shape)}
    if data.dtype == object:
        return told | {"strings": [base64.b64encode(item).decode() for item in data.ravel()]}
    little = data.astype(data.dtype.newbyteorder("<"))
    return told | {"data": base64.b64encode(little.tobytes()).decode()}


def array(told: dict[str, Any]) -> np.ndarray:
    """An array as the driver writes it."""
    if told["datatype"] == "BYTES":
        items = np.empty(len(told["strings"]), object)
        items[:] = [base64.b64decode(item) for item in told["strings"]]
        return items.reshape(told["shape"])
    dtype = np.dtype(TO_NUMPY[told["datatype"]]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(told["data"]), dtype).reshape(told["shape"])
