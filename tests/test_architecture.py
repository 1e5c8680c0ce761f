"""The rules of the house, held: which way imports point, and who may import what is heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "paddlesrv"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A layer may import itself and what stands below it.
LAYERS = (
    ("cli",),
    (
        "deploy",
        "bench",
        "server",
        "client",
        "predict",
        "precision",
        "tuning",
        "doctor",
        "importing",
        "environment",
    ),
    ("tasks", "engines", "recipes"),
    ("models", "zoo", "sealing"),
    ("settings",),
    ("yaml_file",),
    ("errors", "own_python", "isolated"),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

ONLY_IN = {
    "paddle": {"engines/paddle.py", "recipes/"},
    "onnxruntime": {
        "engines/onnxruntime.py",
        "engines/half_worker.py",
        "precision/static.py",
    },
    "openvino": {"engines/openvino.py"},
    "paddle2onnx": {"engines/convert_worker.py"},
    "docker": {"deploy/image.py"},
}
NEVER = {"pickle", "marshal", "shelve", "dill"}
HEAVY = (
    "paddle", "onnxruntime", "openvino", "grpc", "docker", "cv2", "numpy", "httpx", "PIL",
    "uvicorn", "cryptography",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    own = layer(path)
    if own in ("__init__", "__main__"):
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "paddlesrv" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] >= RANK[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_have_one_door_each(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in NEVER, f"{where} imports {name}"
        if top in ONLY_IN:
            doors = ONLY_IN[top]
            folder = where.partition("/")[0] + "/"
            assert where in doors or folder in doors, f"{where} imports {name}"


def test_tasks_see_no_engine_and_engines_no_task() -> None:
    for path in MODULES:
        names = imports(path)
        if layer(path) == "tasks":
            assert not any(n.startswith(("paddlesrv.engines", "paddlesrv.server")) for n in names)
        if layer(path) == "engines":
            assert not any(n.startswith(("paddlesrv.tasks", "paddlesrv.server")) for n in names)


def test_recipes_see_neither_engines_nor_tasks() -> None:
    for path in MODULES:
        if layer(path) == "recipes":
            names = imports(path)
            assert not any(n.startswith(("paddlesrv.engines", "paddlesrv.tasks")) for n in names)


def test_codecs_do_no_io() -> None:
    for path in (PACKAGE / "server" / "protocols").glob("*.py"):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"asyncio", "socket", "os", "pathlib", "time", "threading"}, path


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"], ["info", "ocr_det"]])
def test_the_daily_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from paddlesrv.cli.main import run\n"
        f"sys.argv = ['paddlesrv', *{arguments!r}]\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not [p for p in MODULES if p.stem in ("utils", "util", "helpers", "common", "misc")]
