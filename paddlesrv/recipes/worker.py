"""The process that runs one recipe; see `paddlesrv.zoo.recipe`.

Reads a `Request` from standard input and writes a `Report` to the file that it names.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path

import msgspec

from paddlesrv.errors import DeviceUnavailable, PaddlesrvError
from paddlesrv.isolated import Failure, die_with
from paddlesrv.recipes import RECIPES
from paddlesrv.zoo.recipe import Report, Request


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    # What paddle warns of while it is imported (no ccache) is no failure of the recipe.
    warnings.simplefilter("ignore")
    # What is made must not depend on the machine's devices.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        report = Report(version=run(request))
    except PaddlesrvError as error:
        report = Report(failure=Failure.of(error))
    Path(request.report).write_bytes(msgspec.json.encode(report))


def run(request: Request) -> int:
    """Run the recipe that is asked for; returns its version.

    Raises:
        PaddlesrvError: there is no such recipe, or it says what it misses.
        DeviceUnavailable: paddle is not installed.
    """
    if request.recipe not in RECIPES:
        raise PaddlesrvError(
            f"this paddlesrv has no recipe called {request.recipe!r}",
            context={"recipes": ", ".join(sorted(RECIPES)) or "none"},
            hints=["install a newer one: pip install --upgrade paddlesrv"],
        )
    module = importlib.import_module(RECIPES[request.recipe])
    if getattr(module, "PROGRAM_DESC", False):
        os.environ["FLAGS_enable_pir_api"] = "0"  # noqa: SIM112 - paddle spells it so
    try:
        module.build(Path(request.source), Path(request.target), request.options)
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        raise DeviceUnavailable(
            f"the recipe {request.recipe} needs paddle, which is not installed",
            hints=["install it: pip install paddlepaddle"],
        ) from error
    return int(getattr(module, "VERSION", 1))


if __name__ == "__main__":
    main()
