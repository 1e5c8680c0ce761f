"""Whatever a request was merged with, its answer is the same: for all 42 models, as served."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddlesrv.zoo.catalogue import Catalogue
from tests.server.process import ServerProcess
from tests.zoo.asking import ask, ask_at_once, differences
from tests.zoo.conftest import Families, all_rows
from tests.zoo.row import Input, Row

ROWS = all_rows()
EXAMPLES = 6
"""For each model, of up to nine inputs each."""


@pytest.mark.parametrize(("family", "row"), ROWS, ids=[row.model for _, row in ROWS])
def test_batched_equals_single(families: Families, family: str, row: Row) -> None:
    server = families.server(family)
    before = _runs(server, row.model)

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.lists(row.more | st.sampled_from(row.inputs), min_size=2, max_size=9))
    def each_gets_its_own_answer(inputs: list[Input]) -> None:
        with server.client() as client:
            single = [_said(ask(client, row.model, given)) for given in inputs]
        together = [_said(answer) for answer in ask_at_once(server, row.model, inputs)]
        for number, (alone, merged) in enumerate(zip(single, together, strict=True)):
            difference = differences(alone, merged, row.tolerance)
            assert difference is None, f"input {number} of {len(inputs)}: {difference}"

    each_gets_its_own_answer()
    runs, requests = (
        after - was for after, was in zip(_runs(server, row.model), before, strict=True)
    )
    if _one_at_a_time(row.model):
        assert runs == requests
    else:
        assert runs < requests, "nothing was merged: that proves nothing"


def _said(answer: httpx.Response) -> dict[str, Any]:
    """The result, or the refusal: without times and request ids, which differ."""
    assert answer.status_code in (200, 400), answer.text
    said: dict[str, Any] = answer.json()
    for word in ("timing_ms", "request_id"):
        said.pop(word, None)
    return said


def _parts(model: str) -> set[str]:
    """The networks that answer for a model: its own, or a pipeline's."""
    entry = Catalogue.load().resolve(model).entry
    return set(entry.components.values()) if entry.is_pipeline else {model}


def _one_at_a_time(model: str) -> bool:
    """Whether the catalogue says that its network takes one picture in a run."""
    entries = [Catalogue.load().resolve(part).entry for part in _parts(model)]
    return all(entry.max_batch_size == 1 for entry in entries)


def _runs(server: ServerProcess, model: str) -> tuple[int, int]:
    """Runs of a model's networks so far, and rows in them."""
    with server.client() as client:
        text = client.get("/metrics").text
    found = [0, 0]
    for part in _parts(model):
        for place, word in enumerate(("count", "sum")):
            sample = rf'^paddlesrv_batch_rows_{word}\{{model="{re.escape(part)}"\}} (\S+)$'
            match = re.search(sample, text, re.MULTILINE)
            found[place] += round(float(match[1])) if match else 0
    return found[0], found[1]
