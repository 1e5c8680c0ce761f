"""What a process of ours starts another Python process of ours with."""

from __future__ import annotations

import os
import sys

KEY_VARIABLE = "PADDLESRV_MODEL_KEY"
"""Holds the key of encrypted models; no process that is started gets it."""


def environment(**more: str) -> dict[str, str]:
    """An environment in which Python finds the same modules as here, and no others.

    Without it `python -m` looks for every module in the current directory first, and whoever can
    write there decides what runs. Python 3.10 knows no PYTHONSAFEPATH and still looks there.
    """
    path = os.pathsep.join(place for place in sys.path if place)
    return without_secrets() | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"} | more


def without_secrets() -> dict[str, str]:
    """This process's environment, but for keys."""
    return {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
