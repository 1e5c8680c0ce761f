"""`/docs`: one page, without anything from outside, that shows and tries what is served."""

from __future__ import annotations

from paddlesrv.server.service import Service


def docs(service: Service) -> str:
    """The page."""
    return "<!doctype html><title>paddlesrv</title>" + ", ".join(service.models)
