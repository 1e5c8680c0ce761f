"""What a client is told: bounded, whatever names it chose."""

from __future__ import annotations

import pytest

from paddlesrv.errors import NotFound
from paddlesrv.server.refusal import refuse


@pytest.mark.parametrize("letter", ["m", "é", "語", "🙂", "\udc80"])
def test_a_name_of_any_length_leaves_room_for_the_rest(letter: str) -> None:
    name = letter * 100_000
    error = NotFound(
        f"model {name!r} is not served",
        context={"found": name, "wanted": name},
        hints=[f"paddlesrv serve {name}"],
    )
    refusal = refuse("grpc", error, "mine")
    assert len(refusal.line.encode()) < 2600
    assert refusal.text.startswith("model '")
    assert "' is not served (found: " in refusal.text
    assert refusal.line.endswith("[request mine]")


def test_what_is_short_is_told_as_it_is() -> None:
    error = NotFound("no model 'é'", context={"wanted": "a, b"}, hints=["list"])
    refusal = refuse("http", error, "mine")
    assert refusal.line == "no model 'é' (wanted: a, b); hint: list [request mine]"
