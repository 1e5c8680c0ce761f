"""`/openapi.json`: valid, and neither a route more than the server has nor one less."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import paddlesrv
from paddlesrv.server import openapi
from paddlesrv.server.connection import Request
from paddlesrv.server.http import HttpApplication
from paddlesrv.server.protocols.paddle_serving import METHODS as GENERAL_METHODS
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import Service
from paddlesrv.tasks.image_classification import ImageClassification
from tests.server.harness import local_spec, serving, setup
from tests.standins import nets
from tests.unit.importing.networks import write_classifier

SERVER = Path(paddlesrv.__file__).parent / "server"
SOURCES = [SERVER / "http.py", *sorted(SERVER.glob("routes_*.py"))]


def write_models(root: Path) -> None:
    nets.write_lookup(root / "lookup")
    write_classifier(root / "cats")


class Asked:
    """A server's answers, by its application alone, and its own description."""

    def __init__(self, service: Service) -> None:
        self._application = HttpApplication(service, Repository(service))
        self.document = openapi.describe(service)
        self.described = {
            (method.upper(), path)
            for path, methods in self.document["paths"].items()
            for method in methods
        }

    def describes(self, method: str, path: str) -> bool:
        """Whether a path is in the document, as it is or by a parameter."""
        path = path.rstrip("/") or "/"
        return any(
            own == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(known)), path)
            for own, known in self.described
        )

    async def status(self, method: str, path: str) -> int:
        request = Request(method, path.encode(), {b"content-length": b"0"}, 1000, True)
        request.complete()
        response = await self._application(request)
        assert response is not None
        return response.status


def asking(root: Path, check: Any) -> None:
    """A check of a server with a model of tensors and a classifier."""

    async def main() -> None:
        write_models(root)
        spec = local_spec(root / "cats", "cats", task="image-classification")
        classifier = ImageClassification(spec, root / "cats")
        lookup = setup(local_spec(root / "lookup", "lookup"), root / "lookup")
        async with serving(lookup, setup(spec, root / "cats", task=classifier)) as service:
            await check(Asked(service))

    asyncio.run(main())


def test_the_document_is_valid(tmp_path: Path) -> None:
    async def check(asked: Asked) -> None:
        OpenAPIV31SpecValidator(asked.document).validate()

    asking(tmp_path, check)


def test_every_route_in_the_document_is_there(tmp_path: Path) -> None:
    async def check(asked: Asked) -> None:
        for method, path in asked.described:
            real = path.replace("{model}", "lookup").replace("{method}", "any")
            status = await asked.status(method, real)
            assert status not in (404, 405, 500), f"{method} {path}: {status}"
            other = "POST" if method == "GET" else "GET"
            if (other, path) not in asked.described:
                assert await asked.status(other, real) in (404, 405), path
            described = asked.document["paths"][path][method.lower()]["responses"]
            assert str(status) in described, f"{method} {path} answers {status}"

    asking(tmp_path, check)


def words() -> list[str]:
    """Every word in the sources of the routes that could be a part of one."""
    found = {"cats", "1", *GENERAL_METHODS}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {
                    word
                    for word in node.value.split("/")
                    if re.fullmatch(r"[A-Za-z0-9.]{1,20}", word)
                }
    return sorted(found)


def near(path: str, known: Iterable[str]) -> set[str]:
    """Paths with one part more, less, or another one."""
    parts = path.strip("/").split("/")
    found = {"/" + "/".join(parts[:-1])}
    for word in known:
        found.add("/" + "/".join([*parts, word]))
        found.add(f"/{'/'.join(parts).partition(':')[0]}:{word}")
        for place in range(len(parts)):
            found.add("/" + "/".join([*parts[:place], word, *parts[place + 1 :]]))
    return found


def test_no_route_near_a_described_one_is_left_out(tmp_path: Path) -> None:
    async def check(asked: Asked) -> None:
        known = words()
        assert {"infer", "predict", "prediction", "inference", "stats", "index"} <= set(known)
        # The classifier has every route that a model can have.
        of_one = {path for _, path in asked.described if "lookup" not in path}
        tried = set().union(*(near(path.replace("{model}", "cats"), known) for path in of_one))
        for path in tried:
            answered = {method: await asked.status(method, path) for method in ("GET", "POST")}
            for method, status in answered.items():
                if not asked.describes(method, path):
                    assert status in (404, 405), f"{method} {path} answers {status}"
            # 405 says that there is a route, for another method.
            assert set(answered.values()) != {405}, path

    asking(tmp_path, check)


@pytest.mark.parametrize("name", ["wide&deep", "a b", "ü{x}"])
def test_a_models_name_is_one_part_of_a_path(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        nets.write_lookup(tmp_path / "lookup")
        spec = local_spec(tmp_path / "lookup", name)
        async with serving(setup(spec, tmp_path / "lookup")) as service:
            asked = Asked(service)
            OpenAPIV31SpecValidator(asked.document).validate()
            own = [path for _, path in asked.described if path.endswith("/ready")]
            assert [await asked.status("GET", path) for path in own] == [200] * len(own)

    asyncio.run(main())
