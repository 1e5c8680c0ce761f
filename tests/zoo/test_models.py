"""All 42 models of Paddle Serving 0.7: got from a mirror, served, and asked over HTTP.

Their archives are stand-ins (`tests/standins`), since the published ones cannot be had here.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx
import pytest

from paddlesrv.zoo.catalogue import Catalogue
from tests.server.process import ServerProcess
from tests.standins import zoo
from tests.zoo import odd_pictures
from tests.zoo.conftest import ANCESTOR, Families, all_rows
from tests.zoo.row import Input, Row

ROWS = all_rows()
TABLE = pytest.mark.parametrize(("family", "row"), ROWS, ids=[row.model for _, row in ROWS])
VISUAL = [(family, row) for family, row in ROWS if isinstance(row.inputs[0], bytes)]


def test_every_model_of_paddle_serving_has_a_row() -> None:
    listed = {e.name for e in Catalogue.load().entries if e.collection == ANCESTOR}
    assert len(listed) == 42
    assert {row.model for _, row in ROWS} == listed


@TABLE
def test_a_model_is_got_served_and_answers(families: Families, family: str, row: Row) -> None:
    assert len(row.inputs) >= 3
    server = families.server(family)
    with server.client() as client:
        for number, given in enumerate(row.inputs):
            row.check(number, _answer(client.post(*_url(row), **_body(given))))


@TABLE
def test_in_a_batch_the_answers_are_the_same(families: Families, family: str, row: Row) -> None:
    server = families.server(family)
    with server.client() as client:
        single = [_answer(client.post(*_url(row), **_body(given))) for given in row.inputs]
    # Twice over, in another order each time, so that every input meets the others.
    order = [*range(len(row.inputs)), *reversed(range(len(row.inputs)))]
    together = asyncio.run(_at_once(server, row, [row.inputs[i] for i in order]))
    for place, answer in zip(order, together, strict=True):
        difference = differences(single[place], answer, row.tolerance)
        assert difference is None, f"input {place}: {difference}"


@pytest.mark.parametrize("case", odd_pictures.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(("family", "row"), VISUAL, ids=[row.model for _, row in VISUAL])
def test_an_odd_picture_is_answered_or_refused_with_a_reason(
    families: Families, family: str, row: Row, case: odd_pictures.Case
) -> None:
    server = families.server(family)
    with server.client() as client:
        answer = client.post(*_url(row), **_body(case.data))
        if case.refused is not None:
            assert answer.status_code == case.refused.status, answer.text
            assert case.refused.word in answer.json()["error"]
        elif case.same_as is not None:
            plain = client.post(*_url(row), **_body(case.same_as))
            assert differences(_answer(plain), _answer(answer), row.tolerance) is None
        else:
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["results"]) == 1


@pytest.mark.parametrize(("family", "row"), VISUAL, ids=[row.model for _, row in VISUAL])
def test_a_visual_answer_can_be_drawn(families: Families, family: str, row: Row) -> None:
    server = families.server(family)
    with server.client() as client:
        url, body = f"/predict/{row.model}?draw=1", _body(row.inputs[0])
        answer = client.post(url, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")


def test_every_source_of_a_standin_is_one_of_the_catalogue() -> None:
    catalogue = Catalogue.load()
    for key in zoo.all_standins():
        model, _, file = key.partition("/")
        entry = catalogue.resolve(model).entry
        if entry.status == "needs-export":  # a mirror may hold what an organisation made itself
            assert file == f"{entry.slug}.tar.gz"
            continue
        sources = (*entry.sources, *(extra.source for extra in entry.extras))
        assert any(str(source).find(file) >= 0 for source in sources), key


async def _at_once(server: ServerProcess, row: Row, inputs: list[Input]) -> list[dict[str, Any]]:
    limits = httpx.Limits(max_connections=len(inputs))
    async with httpx.AsyncClient(
        base_url=server.url, timeout=120, trust_env=False, limits=limits
    ) as client:
        requests = (client.post(*_url(row), **_body(given)) for given in inputs)
        return [_answer(answer) for answer in await asyncio.gather(*requests)]


def _url(row: Row) -> tuple[str]:
    return (f"/predict/{row.model}",)


def _body(given: Input) -> dict[str, Any]:
    """A picture as it is; a text or features as JSON."""
    if isinstance(given, bytes):
        return {"content": given, "headers": {"content-type": "application/octet-stream"}}
    name = "text" if isinstance(given, str) else "features"
    return {"json": {name: given}}


def _answer(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert len(results) == 1
    return results[0]


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


def test_differences_are_found() -> None:
    assert differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.0 + 1e-7]}, 1e-5) is None
    assert differences({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, 1e-5) == ".a[1]: 2.0 and 2.1"
    assert differences({"a": "x"}, {"a": "y"}, 1e-5) is not None
    assert differences([1, 2], [1], 1e-5) is not None
