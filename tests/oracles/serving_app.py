"""Paddle Serving's own readers, as its client package has them, loaded one by one.

The package as a whole imports OpenCV's windows, sentencepiece, and wget for what it lacks; none of
it is needed for these, and `sentencepiece` only by name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tests import packages

_PACKAGE = "paddle_serving_app"


@contextmanager
def readers(
    *names: str,
) -> Iterator[dict[str, Any]]:
    """The modules of the readers by name; afterwards the interpreter is as it was."""
    names = names or ("tokenization", "chinese_bert_reader", "lac_reader", "senta_reader")
    before = dict(sys.modules)
    root = packages.unpacked("paddle-serving-app") / _PACKAGE
    try:
        for name, place in ((_PACKAGE, root), (f"{_PACKAGE}.reader", root / "reader")):
            _bare_package(name, place)
        sys.modules["sentencepiece"] = ModuleType("sentencepiece")
        found = {}
        for name in names:
            found[name] = importlib.import_module(f"{_PACKAGE}.reader.{name}")
            # The package gathers what its modules define, and later ones take it from there.
            kinds = {k: v for k, v in vars(found[name]).items() if isinstance(v, type)}
            vars(sys.modules[f"{_PACKAGE}.reader"]).update(kinds)
        yield found
    finally:
        # What others have imported meanwhile stays: some modules can be imported only once.
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in (_PACKAGE, "sentencepiece"):
                del sys.modules[name]
        sys.modules |= before


def _bare_package(name: str, place: Path) -> None:
    """A package whose own `__init__` is not run."""
    module = ModuleType(name)
    module.__path__ = [str(place)]
    sys.modules[name] = module
