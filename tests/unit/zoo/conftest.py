"""A web server that can do wrong, and catalogues of small models to get from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.zoo.web import Web


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on this machine, empty at first."""
    with Web() as server:
        yield server
