"""Asking a server: the names of `paddlesrv_client`, and what the command line asks with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlesrv_client import AsyncClient as AsyncClient
    from paddlesrv_client import Client as Client
    from paddlesrv_client import ConnectionFailed as ConnectionFailed
    from paddlesrv_client import DeadlineExceeded as DeadlineExceeded
    from paddlesrv_client import InferResult as InferResult
    from paddlesrv_client import MalformedAnswer as MalformedAnswer
    from paddlesrv_client import ModelMetadata as ModelMetadata
    from paddlesrv_client import NotSupported as NotSupported
    from paddlesrv_client import PaddlesrvClientError as PaddlesrvClientError
    from paddlesrv_client import Prediction as Prediction
    from paddlesrv_client import RetryPolicy as RetryPolicy
    from paddlesrv_client import ServerError as ServerError
    from paddlesrv_client import TensorMetadata as TensorMetadata


def __getattr__(name: str) -> Any:
    # Late: the command line imports this package for every command, numpy for few.
    import paddlesrv_client

    if name in paddlesrv_client.__all__:
        return getattr(paddlesrv_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
