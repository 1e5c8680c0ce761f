"""Whatever a request was merged with, its answer is the same: for all 42 models, as served."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.process import ServerProcess
from tests.zoo.asking import ask, ask_at_once, differences
from tests.zoo.conftest import Families, all_rows
from tests.zoo.row import Input, Row

ROWS = all_rows()
EXAMPLES = 6
"""For each model, of up to nine inputs each."""

ONE_AT_A_TIME = {
    "cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco": "it lays its masks on pictures of one size",
    "faster_rcnn_hrnetv2p_w18_1x": "its proposals are those of the first picture",
    "faster_rcnn_r50_fpn_1x_coco": "its proposals are those of the first picture",
    "ttfnet_darknet53_1x_coco": "it takes its best boxes out of all pictures together",
}
"""The networks that are wrong about two pictures at once, and so get one in a run."""

ASKED_FIRST = {"ch_ppocr_mobile_v2.0": "ch_ppocr_mobile_v2.0_det",
               "ch_ppocr_server_v2.0": "ch_ppocr_server_v2.0_det"}  # fmt: skip
"""Of a pipeline, the network that sees each picture once: lines of one page meet in any case."""


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
    if row.model in ONE_AT_A_TIME:
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


def _runs(server: ServerProcess, model: str) -> tuple[int, int]:
    """Runs of a model's network so far, and rows in them."""
    with server.client() as client:
        text = client.get("/metrics").text
    network = re.escape(ASKED_FIRST.get(model, model))
    found = []
    for word in ("count", "sum"):
        match = re.search(
            rf'^paddlesrv_batch_rows_{word}\{{model="{network}"\}} (\S+)$', text, re.MULTILINE
        )
        found.append(round(float(match[1])) if match else 0)
    return found[0], found[1]
