"""The command line, as the tests of commands have it."""

from tests.unit.cli.conftest import home, paddlesrv

__all__ = ["home", "paddlesrv"]
