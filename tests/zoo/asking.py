"""How the tests ask a server, and how they hold two of its answers against each other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import httpx

from tests.server.process import ServerProcess
from tests.zoo.row import Input


def ask(client: httpx.Client, model: str, given: Input, query: str = "") -> httpx.Response:
    """`POST /predict/MODEL`: a picture as it is; a text or features as JSON."""
    return client.post(f"/predict/{model}{query}", **_body(given))


def ask_at_once(server: ServerProcess, model: str, inputs: Sequence[Input]) -> list[httpx.Response]:
    """All inputs, each in a request and on a connection of its own, at the same time."""
    return asyncio.run(_at_once(server, model, inputs))


async def _at_once(
    server: ServerProcess, model: str, inputs: Sequence[Input]
) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=len(inputs))
    async with httpx.AsyncClient(
        base_url=server.url, timeout=120, trust_env=False, limits=limits
    ) as client:
        requests = (client.post(f"/predict/{model}", **_body(given)) for given in inputs)
        return list(await asyncio.gather(*requests))


def _body(given: Input) -> dict[str, Any]:
    if isinstance(given, bytes):
        return {"content": given, "headers": {"content-type": "application/octet-stream"}}
    name = "text" if isinstance(given, str) else "features"
    return {"json": {name: given}}


def result_of(response: httpx.Response) -> dict[str, Any]:
    """The only result of an answer."""
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert len(results) == 1
    found: dict[str, Any] = results[0]
    return found


def differences(one: Any, other: Any, tolerance: float, where: str = "") -> str | None:
    """What differs between two answers, or None."""
    if isinstance(one, float) or isinstance(other, float):
        close = math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        return None if close else f"{where}: {one} and {other}"
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{where}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else f"{where}: {one} and {other}"
    found = (differences(a, b, tolerance, name) for name, a, b in pairs)
    return next((each for each in found if each is not None), None)
