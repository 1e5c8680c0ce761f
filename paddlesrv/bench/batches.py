"""How large the batches are that a server runs, from its metrics before and after."""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx

_TIMEOUT = 10.0
_KNOWN = (
    # (rows, runs): paddlesrv's histogram; Triton's counters.
    ("paddlesrv_batch_rows_sum", "paddlesrv_batch_rows_count"),
    ("nv_inference_count", "nv_inference_exec_count"),
)


class Batches(NamedTuple):
    """Rows and runs, since the server was started."""

    rows: float
    runs: float


def read(url: str, model: str, client: httpx.Client) -> Batches | None:
    """What the metrics say of a model, or of all models if that one has no batches (a pipeline).

    None if they cannot be had, or do not say.
    """
    try:
        answer = client.get(url, timeout=_TIMEOUT)
    except httpx.HTTPError:
        return None
    return parse(answer.text, model) if answer.status_code == 200 else None


def parse(text: str, model: str) -> Batches | None:
    """The sums in Prometheus' text format."""
    for rows, runs in _KNOWN:
        label = re.escape(model)
        for labels in (rf'\{{[^}}]*model="{label}"[^}}]*\}}', r"\{[^}]*\}"):
            found = [
                sum(float(v) for v in re.findall(rf"^{name}{labels} (\S+)$", text, re.MULTILINE))
                for name in (rows, runs)
            ]
            if found[1]:
                return Batches(*found)
    return None


def mean(before: Batches | None, after: Batches | None) -> float | None:
    """Rows in a run, of those between the two."""
    if after is None:
        return None
    began = before or Batches(0, 0)
    runs = after.runs - began.runs
    return (after.rows - began.rows) / runs if runs > 0 else None
