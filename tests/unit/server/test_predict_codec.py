"""The easy way's options: in the query, in the JSON, and which of them wins."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import InvalidInput
from paddlesrv.server.protocols.predict import PredictOptions, decode, decode_query
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("true", True), ("0", False)])
def test_tokens_are_asked_for_in_the_query(value: str, wanted: bool) -> None:
    assert decode_query(f"tokens={value}&top=3".encode()).task.tokens is wanted


@pytest.mark.parametrize("json", [True, False])
def test_what_the_json_says_of_tokens_goes_before_the_query(json: bool) -> None:
    query = decode_query(b"tokens=1")
    for asked in (query, PredictOptions()):
        body = b'{"text": "x", "tokens": %s}' % str(json).lower().encode()
        _, options = decode("application/json", body, asked)
        assert options.task.tokens is json
    _, options = decode("application/json", b'{"text": "x"}', query)
    assert options.task.tokens


def test_an_unknown_option_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_query(b"token=1")
    assert "tokens" in refused.value.context["wanted"]


_IMAGE = b"iVBORw0KGgo="
BODIES = (
    (
        "application/json",
        b'{"images": ["%s", "%s"], "top": 3, "threshold": 0.5}' % (_IMAGE, _IMAGE),
    ),
    ("application/json", b'{"texts": ["one", "zw\\u00f6lf"], "tokens": true}'),
    ("application/json", b'{"features": [[1, 2.5], {"C1": [7, 8], "I1": 0.5}]}'),
    ("image/png", b"\x89PNG\r\n\x1a\n and more"),
    ("text/plain; charset=utf-8", "zwölf".encode()),
)


@settings(max_examples=DAMAGED)
@given(st.sampled_from(BODIES), st.integers(0, 1 << 60), st.booleans())
def test_damage_is_refused_or_another_request(
    sent: tuple[str, bytes], seed: int, query_too: bool
) -> None:
    kind, body = sent
    with contextlib.suppress(InvalidInput):
        query = damaged(seed, b"top=3&threshold=0.5&tokens=1") if query_too else b""
        items, options = decode(kind, damaged(seed, body), decode_query(query))
        assert items
        assert all(item.kind in ("image", "text", "features") for item in items)
        assert options.task.top is None or options.task.top > 0
