"""A server that can do wrong, and a command line with a store of its own."""

from tests.unit.cli.conftest import home, paddlesrv
from tests.unit.zoo.conftest import web

__all__ = ["home", "paddlesrv", "web"]
