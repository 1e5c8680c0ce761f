"""PaddleClas' own deployment code, as its package has it, loaded one module at a time.

The package as a whole imports what nothing here needs.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests import packages


@contextmanager
def paddleclas(name: str) -> Iterator[Any]:
    """The module `paddleclas.deploy.python.NAME`; afterwards the interpreter is as it was."""
    before = dict(sys.modules)
    root = packages.unpacked("paddleclas") / "paddleclas"
    try:
        for package, place in (
            ("paddleclas", root),
            ("paddleclas.deploy", root / "deploy"),
            ("paddleclas.deploy.python", root / "deploy" / "python"),
        ):
            module = ModuleType(package)
            module.__path__ = [str(place)]
            sys.modules[package] = module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of paddle, which it imports: there is no ccache
            found = importlib.import_module(f"paddleclas.deploy.python.{name}")
        yield found
    finally:
        for each in set(sys.modules) - set(before):
            if each.startswith("paddleclas"):
                del sys.modules[each]
