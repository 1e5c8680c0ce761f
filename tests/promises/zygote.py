"""A process that forks a `get` at a time, and has some of them kill themselves at a chosen step.

A step is a line of `paddlesrv/zoo` that is about to run, so that a death can fall between any two
of its system calls. Started by `kills.Zygote`; speaks JSON lines over stdin and stdout.
"""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from paddlesrv import zoo
from paddlesrv.settings import Settings
from paddlesrv.zoo import download, fetch
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.store import Store

ZOO = str(Path(zoo.__file__).parent) + os.sep


class Steps:
    """Counts the lines of a phase's modules as they run; at the fatal one the process dies."""

    def __init__(self, modules: list[str], fatal: int | None) -> None:
        self.files = {f"{ZOO}{module}.py" for module in modules}
        self.fatal = fatal
        self.count = 0

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self.step if frame.f_code.co_filename in self.files else None

    def step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            if self.count == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1
        return self.step


def get(order: dict[str, Any]) -> dict[str, Any]:
    """Install a model; says how many steps were counted, if none was fatal."""
    import threading

    if order["pieces"]:
        # Small ones, and several connections although this machine's network needs but one.
        download.ONE_IS_ENOUGH = math.inf
        fetch.Means = functools.partial(download.Means, piece_bytes=order["pieces"])
    settings = Settings(home=Path(order["home"]))
    catalogue = Catalogue.load(Path(order["catalogue"]))
    installer = Installer(catalogue, Store(settings.cache_dir), settings)
    steps = Steps(order["phase"], order["fatal"])
    if order["phase"]:
        threading.settrace(steps.enter)
        sys.settrace(steps.enter)
    try:
        installer.get([order["model"]], from_=order["from"])
    finally:
        sys.settrace(None)
    return {"steps": steps.count}


def main() -> None:
    """One forked child for each line of orders."""
    import httpx  # noqa: F401 - imported once for all children

    for line in sys.stdin:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                answer = get(json.loads(line))
            except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
                answer = {"error": traceback.format_exc()}
            with os.fdopen(write, "w") as out:
                json.dump(answer, out)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answered:
            text = answered.read()
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(json.dumps({"killed": killed} | (json.loads(text) if text else {})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
