"""Triton's repository and statistics extensions over HTTP.

Source: Triton Inference Server, extension_model_repository.md and extension_statistics.md.
"""

from __future__ import annotations

from typing import Any

import msgspec

from paddlesrv.errors import NotFound
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.protocols import open_inference
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import VERSION

PREFIX = ["v2", "repository"]


class _Change(msgspec.Struct):
    parameters: dict[str, Any] = {}


class _Index(msgspec.Struct):
    ready: bool = False


async def serve(repository: Repository, request: Request, parts: list[str]) -> Response:
    """Answer a POST to `/v2/repository/...`; `parts` are what follows.

    Raises:
        NotFound: there is nothing there.
        Forbidden: the client's key may not; and all that `Repository.load` and `unload` raise.
        InvalidInput: the body is none of such a request, or asks for what is not done.
    """
    if parts == ["index"]:
        asked = await _body(request, _Index)
        return Response(body=msgspec.json.encode(await repository.index(ready=asked.ready)))
    if len(parts) == 3 and parts[0] == "models" and parts[2] in ("load", "unload"):
        if request.caller is not None:
            request.caller.require_admin()
        change = await _body(request, _Change)
        if parts[2] == "load":
            await repository.load(parts[1], change.parameters)
        else:
            await repository.unload(parts[1], change.parameters)
        return Response(body=b"")
    raise NotFound(
        f"there is nothing at '/v2/repository/{'/'.join(parts)}'",
        context={"routes": "index, models/{model}/load, models/{model}/unload"},
    )


def statistics(repository: Repository, name: str = "", version: str | None = None) -> bytes:
    """The sums of one model, or of all, as JSON.

    Raises:
        NotFound: no such model is served here.
    """
    found = repository.statistics(name, version)
    sums = [open_inference.statistics(model, VERSION, each) for model, each in found.items()]
    return msgspec.json.encode({"model_stats": sums})


async def _body(request: Request, kind: Any) -> Any:
    body = await request.body()
    return decode_json(msgspec.json.Decoder(kind), body or b"{}", "a request to the repository")
