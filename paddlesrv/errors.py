"""The one tree of errors, and what each means at every edge.

    PaddlesrvError                  1  500  INTERNAL            2001
    ├── UsageError                  2  400  INVALID_ARGUMENT    1003  a flag, a file, an argument
    ├── NotFound                    3  404  NOT_FOUND           1003  a model, a server, a route
    ├── SourceUnreachable           4  503  UNAVAILABLE         2001  no source answered; or offline
    ├── IntegrityError              5  500  DATA_LOSS           2001  digest, archive, key
    ├── DeviceUnavailable           6  501  UNIMPLEMENTED       2001  device, precision or engine
    ├── Busy                        7  503  UNAVAILABLE         2001  port, lock
    ├── Unauthenticated             1  401  UNAUTHENTICATED     1004  no API key, or a wrong one
    ├── Forbidden                   1  403  PERMISSION_DENIED   1004  not allowed on this server
    ├── InvalidInput                1  400  INVALID_ARGUMENT    1003  a request's tensors or values
    │   ├── PayloadTooLarge         1  413  INVALID_ARGUMENT    1003
    │   └── UnsupportedMediaType    1  415  INVALID_ARGUMENT    1003
    ├── Overloaded                  1  429  RESOURCE_EXHAUSTED  2004  the queue is full
    │   └── RateLimited             1  429  RESOURCE_EXHAUSTED  2004  this client asks too much
    ├── Unavailable                 1  503  UNAVAILABLE         2003  not ready, or draining
    ├── DeadlineExceeded            1  504  DEADLINE_EXCEEDED   1008
    ├── Cancelled                   1  499  CANCELLED            125  the client has gone
    └── EngineError                 1  500  INTERNAL            2001  the network failed on this

The columns are the process's exit code, the HTTP status, the gRPC status and the bRPC error code
(apache/brpc, src/brpc/errno.proto; 125 is ECANCELED). Every edge (the command line, each
protocol) maps an error by these attributes, in one place; nothing else turns exceptions into
statuses. The texts are part of the interface: what happened, to what, what was
expected; `hints` are exact commands or words on what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class PaddlesrvError(Exception):
    """Base of all errors that paddlesrv raises on purpose.

    Args:
        message: What happened, to what; one line, no full stop.
        context: Lines under the message, as name -> text ("found" -> "paddlepaddle 3.3.1 (cpu)").
        hints: What to do next; an exact command where there is one.
        retry_after: Seconds after which the same request may succeed, for `Retry-After`.
    """

    code = "internal"
    exit_code = 1
    http_status = 500
    grpc_status = "INTERNAL"
    brpc_code = 2001

    def __init__(
        self,
        message: str,
        *,
        context: Mapping[str, str] | None = None,
        hints: Sequence[str] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.context = dict(context or {})
        self.hints = tuple(hints)
        self.retry_after = retry_after


class UsageError(PaddlesrvError):
    """A flag, an argument or a config file that cannot be meant so."""

    code = "usage"
    exit_code = 2
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"
    brpc_code = 1003


class NotFound(PaddlesrvError):
    """No model, server or route of that name."""

    code = "not-found"
    exit_code = 3
    http_status = 404
    grpc_status = "NOT_FOUND"
    brpc_code = 1003


class SourceUnreachable(PaddlesrvError):
    """No source of a model could be reached, or paddlesrv is offline."""

    code = "source-unreachable"
    exit_code = 4
    http_status = 503
    grpc_status = "UNAVAILABLE"


class IntegrityError(PaddlesrvError):
    """A digest, an archive or a key is not what it must be."""

    code = "integrity"
    exit_code = 5
    grpc_status = "DATA_LOSS"


class DeviceUnavailable(PaddlesrvError):
    """The device, precision or engine asked for is not there."""

    code = "device-unavailable"
    exit_code = 6
    http_status = 501
    grpc_status = "UNIMPLEMENTED"


class Busy(PaddlesrvError):
    """A port or a lock is held by another process."""

    code = "busy"
    exit_code = 7
    http_status = 503
    grpc_status = "UNAVAILABLE"


class Unauthenticated(PaddlesrvError):
    """The server wants an API key, and the request has none that it takes."""

    code = "unauthenticated"
    http_status = 401
    grpc_status = "UNAUTHENTICATED"
    brpc_code = 1004


class Forbidden(PaddlesrvError):
    """This server does not let its clients do that."""

    code = "forbidden"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"
    brpc_code = 1004


class InvalidInput(PaddlesrvError):
    """A request's tensors or values are not what the model takes."""

    code = "invalid-input"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"
    brpc_code = 1003


class PayloadTooLarge(InvalidInput):
    """A body, a picture or a tensor over its limit."""

    code = "payload-too-large"
    http_status = 413


class UnsupportedMediaType(InvalidInput):
    """A content type that the route or the task does not take."""

    code = "unsupported-media-type"
    http_status = 415


class Overloaded(PaddlesrvError):
    """The model's queue is full; nothing was queued."""

    code = "overloaded"
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"
    brpc_code = 2004


class RateLimited(Overloaded):
    """One client asks more often, or for more at once, than it may; others are served."""

    code = "rate-limited"


class Unavailable(PaddlesrvError):
    """The model is not ready: loading, draining, or its worker was lost."""

    code = "unavailable"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    brpc_code = 2003


class DeadlineExceeded(PaddlesrvError):
    """The request's time ran out before its answer was there."""

    code = "deadline-exceeded"
    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"
    brpc_code = 1008


class Cancelled(PaddlesrvError):
    """The client went away; nobody waits for the answer."""

    code = "cancelled"
    http_status = 499
    grpc_status = "CANCELLED"
    brpc_code = 125


class EngineError(PaddlesrvError):
    """The network failed on an input that passed validation."""

    code = "engine-error"


def of_code(code: str, otherwise: type[PaddlesrvError]) -> type[PaddlesrvError]:
    """The class of errors with that `code`, which an error had in another process."""
    kinds: list[type[PaddlesrvError]] = [PaddlesrvError]
    for kind in kinds:
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    return otherwise
