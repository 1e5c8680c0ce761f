"""What a process of ours starts another Python process of ours with."""

from __future__ import annotations

import os
import sys


def environment(**more: str) -> dict[str, str]:
    """An environment in which Python finds the same modules as here, and no others.

    Without it `python -m` looks for every module in the current directory first, and whoever can
    write there decides what runs. Python 3.10 knows no PYTHONSAFEPATH and still looks there.
    """
    path = os.pathsep.join(place for place in sys.path if place)
    return os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"} | more
