"""The easy way's options: in the query, in the JSON, and which of them wins."""

from __future__ import annotations

import pytest

from paddlesrv.errors import InvalidInput
from paddlesrv.server.protocols.predict import PredictOptions, decode, decode_query


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


def test_a_query_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not ASCII"):
        decode_query(b"\xff=1")
