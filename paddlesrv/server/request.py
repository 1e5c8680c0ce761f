"""What every protocol is translated into and from: `InferRequest` and `InferResponse`.

Codecs make the one and read the other; the service knows nothing of the protocol between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paddlesrv.models.tensor import Tensor


@dataclass(slots=True)
class Timing:
    """Where the time of one request went, in seconds.

    `queue` and `compute` are sums over the networks that a pipeline ran; they may overlap, so
    that their sum can exceed `total`.
    """

    queue: float = 0.0
    compute: float = 0.0
    total: float = 0.0


@dataclass(slots=True)
class InferRequest:
    """Tensors for one model, by the model's input names.

    `outputs` names those that are asked for; empty means all. `timeout` is in seconds and can
    only shorten the model's own limit.
    """

    model: str
    inputs: dict[str, Tensor]
    version: str | None = None
    id: str | None = None
    outputs: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(slots=True)
class InferResponse:
    """The tensors asked for, in the order asked for (else in the model's own order)."""

    model: str
    version: str
    outputs: dict[str, Tensor]
    id: str | None = None
    timing: Timing = field(default_factory=Timing)
