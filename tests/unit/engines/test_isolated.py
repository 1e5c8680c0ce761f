"""A module run in a process of its own: how it ended is known, whatever it did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from paddlesrv.isolated import run_isolated


class Act(msgspec.Struct):
    """What the process below is to do."""

    do: str


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that does what it is asked."""
    (tmp_path / "deed.py").write_text(
        "import json, os, signal, sys\n"
        "from paddlesrv.isolated import die_with\n"
        "die_with(int(sys.argv[1]))\n"
        "what = json.loads(sys.stdin.read())['do']\n"
        "print('asked to', what, flush=True)\n"
        "if what == 'crash': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "if what == 'fail': sys.exit(3)\n"
        "if what == 'hang': signal.pause()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "deed"


@pytest.mark.parametrize(
    ("deed", "status", "how"),
    [
        ("work", 0, "ended with status 0"),
        ("fail", 3, "ended with status 3"),
        ("crash", -11, "killed by SIGSEGV"),
        ("hang", None, "its time was up"),
    ],
)
def test_how_it_ended_and_its_last_words_are_known(module, deed, status, how):
    ended = run_isolated(module, Act(deed), 2 if deed == "hang" else 60)
    assert (ended.status, ended.how) == (status, how)
    if deed != "hang":  # that one may be killed before it has spoken
        assert ended.tail.startswith(f"asked to {deed}")


def test_it_does_not_outlive_whoever_waits_for_it(module, tmp_path):
    code = (
        "import os, signal, sys, threading\n"
        "from paddlesrv.isolated import run_isolated\n"
        "import psutil, msgspec\n"
        "class Act(msgspec.Struct):\n"
        "    do: str\n"
        "def leave():\n"
        "    while not (found := psutil.Process().children()):\n"
        "        pass\n"
        "    print(found[0].pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=leave).start()\n"
        "run_isolated('deed', Act('hang'), 600)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    import psutil

    with pytest.raises(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(60)
        psutil.Process(int(done.stdout))
