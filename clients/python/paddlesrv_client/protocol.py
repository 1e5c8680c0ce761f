"""What a protocol must bring: calls that are bytes or messages, and something that carries them.

A call knows how to be sent and how its answer is read; a transport, blocking or not, only carries
it. So each protocol is written once for both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from paddlesrv_client.errors import MalformedAnswer, NotSupported, PaddlesrvClientError
from paddlesrv_client.results import InferResult, ModelMetadata, Prediction
from paddlesrv_client.tensors import Tensor

T = TypeVar("T")


@dataclass
class Call(Generic[T]):
    """A request as its transport takes it, and how its answer is read."""

    request: Any
    reader: Callable[[Any], T]

    def read(self, answer: Any) -> T:
        """What the answer says.

        Raises:
            ServerError: a refusal.
            MalformedAnswer: nothing that this protocol knows.
        """
        try:
            return self.reader(answer)
        except PaddlesrvClientError:
            raise
        except Exception as error:  # a damaged answer must not surface as anything else
            raise MalformedAnswer(f"no answer of this protocol: {error}") from error


@dataclass
class PredictInput:
    """What a task model is asked about."""

    pictures: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    features: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


class Codec:
    """The calls of one protocol; those that are not overridden it does not have."""

    name = ""

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        request_id: str | None,
        seconds: float,
    ) -> Call[InferResult]:
        """A model's outputs for these inputs, within that time."""
        raise self._none("infer")

    def predict(self, model: str, item: PredictInput) -> Call[Prediction]:
        """A task model's answer."""
        raise self._none("predict")

    def picture(self, model: str, item: PredictInput, wanted: str) -> Call[bytes]:
        """A task model's answer as a picture."""
        raise self._none(wanted)

    def metadata(self, model: str) -> Call[ModelMetadata]:
        """A model's inputs and outputs."""
        raise self._none("metadata")

    def ready(self, model: str) -> Call[bool]:
        """Whether a model would answer now."""
        raise self._none("ready")

    def live(self) -> Call[bool]:
        """Whether the server answers at all."""
        raise self._none("live")

    def _none(self, call: str) -> NotSupported:
        return NotSupported(f'{self.name} has no {call}; ask with protocol="http"')


class Transport(Protocol):
    """Carries requests and waits."""

    def send(self, request: Any, seconds: float) -> Any:
        """The answer to a request."""

    def close(self) -> None:
        """Close its connections."""


class AsyncTransport(Protocol):
    """Carries requests."""

    async def send(self, request: Any, seconds: float) -> Any:
        """The answer to a request."""

    async def close(self) -> None:
        """Close its connections."""


def check_outputs(result: InferResult, wanted: Sequence[str]) -> InferResult:
    """The result, if all that was asked for is there.

    Raises:
        ValueError: something is missing.
    """
    for name in wanted:
        if name not in result:
            raise ValueError(f"output {name!r} is missing; there are {list(result)}")
    return result
