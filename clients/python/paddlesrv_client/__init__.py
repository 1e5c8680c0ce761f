"""Asking a paddlesrv server, or another that speaks its protocols."""

from paddlesrv_client.aio import AsyncClient
from paddlesrv_client.client import Client
from paddlesrv_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    MalformedAnswer,
    NotSupported,
    PaddlesrvClientError,
    ServerError,
)
from paddlesrv_client.results import InferResult, ModelMetadata, Prediction, TensorMetadata
from paddlesrv_client.retries import RetryPolicy

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "InferResult",
    "MalformedAnswer",
    "ModelMetadata",
    "NotSupported",
    "PaddlesrvClientError",
    "Prediction",
    "RetryPolicy",
    "ServerError",
    "TensorMetadata",
]
