"""Which tasks there are, and that knowing of them costs nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from paddlesrv.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_found_under_its_own_name(name: str) -> None:
    module, kind = TASKS[name]
    assert getattr(import_module(module), kind).name == name


def test_importing_the_registry_imports_nothing_heavy() -> None:
    script = (
        "import sys, paddlesrv.tasks\n"
        "heavy = {'cv2', 'PIL', 'numpy', 'paddle', 'onnxruntime'} & sys.modules.keys()\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
