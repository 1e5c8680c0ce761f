"""Paddle Serving's own readers, as its client package has them, loaded one by one.

The package as a whole imports OpenCV's windows, sentencepiece, and wget for what it lacks; none of
it is needed for these. `six`, `sentencepiece` and `shapely` are put aside by
what little of them is read.
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
        six, sentencepiece = ModuleType("six"), ModuleType("sentencepiece")
        six.PY2, six.PY3 = False, True  # type: ignore[attr-defined]
        sys.modules |= {"six": six, "sentencepiece": sentencepiece}
        geometry = ModuleType("shapely.geometry")
        geometry.Polygon = object  # type: ignore[attr-defined]  # for boxes of text only
        sys.modules |= {"shapely": ModuleType("shapely"), "shapely.geometry": geometry}
        yield {name: importlib.import_module(f"{_PACKAGE}.reader.{name}") for name in names}
    finally:
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        sys.modules |= before


def _bare_package(name: str, place: Path) -> None:
    """A package whose own `__init__` is not run."""
    module = ModuleType(name)
    module.__path__ = [str(place)]
    sys.modules[name] = module
