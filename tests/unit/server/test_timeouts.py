"""The `timeout` of the Open Inference Protocol, in microseconds."""

from __future__ import annotations

import pytest

from paddlesrv.errors import InvalidInput
from paddlesrv.server.protocols.open_inference import read_timeout


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), (0, None), (1, 1e-6), (2_500_000, 2.5)]
)
def test_microseconds_become_seconds(value: object, seconds: float | None) -> None:
    assert read_timeout(value) == seconds


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, [], {}, 1 << 63, 10**400])
def test_what_is_no_number_of_microseconds_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="microseconds"):
        read_timeout(value)
