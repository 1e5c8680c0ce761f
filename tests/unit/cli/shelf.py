"""A small zoo on a real web server, as command lines see it: manifest, package index, models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.zoo import models
from tests.unit.zoo.web import Web

FILE = "tiny_models-1.0-py3-none-any.whl"
BODY = models.wheel()
SOURCE = models.wheel_source(
    FILE, BODY, {"tiny_models/tiny/": "./", "tiny_models/labels.txt": "labels.txt"}
)
PIPELINE = models.entry(
    "pipe", task="ocr", status="pipeline", outputs=[],
    components={"detection": "det", "recognition": "rec"},
)  # fmt: skip


def entries() -> list[dict[str, Any]]:
    """Two models of one wheel, a pipeline of them, and one that nobody offers."""
    return [
        models.entry("det", SOURCE, aliases=["the_det"]),
        models.entry("rec", SOURCE, files={"characters": "labels.txt"}),
        PIPELINE,
        models.entry("lost", status="needs-export", notes=["Export it yourself."]),
    ]


class Shelf:
    """The zoo that `PADDLESRV_CATALOGUE` and `PADDLESRV_INDEX_URL` name."""

    def __init__(self, web: Web, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.web = web
        self.manifest = directory / "shelf" / "manifest.yaml"
        self.manifest.parent.mkdir()
        web.put(f"/files/{FILE}", BODY)
        page = f'<a href="/files/{FILE}">file</a>'.encode()
        web.put("/simple/tiny-models/", page, content_type="text/html")
        self.write(entries())
        monkeypatch.setenv("PADDLESRV_CATALOGUE", str(self.manifest))
        monkeypatch.setenv("PADDLESRV_INDEX_URL", f"{web.url}/simple/")

    def write(self, every: list[dict[str, Any]], **fields: Any) -> bytes:
        """Write the manifest; its bytes."""
        data = msgspec.yaml.encode({"schema": 1, **fields, "models": every})
        self.manifest.write_bytes(data)
        return data

    @property
    def downloads(self) -> int:
        """How often the package was fetched."""
        return sum(request.path.startswith("/files/") for request in self.web.requests)
