"""Which files of a directory are the model: how exporters, archives and packages lay it down.

__model__ + __params__ | params      Paddle 1, parameters combined
__model__ + one file per parameter   Paddle 1, parameters scattered
NAME.pdmodel + NAME.pdiparams        Paddle 2
NAME.json + NAME.pdiparams           Paddle 3 (PIR)
NAME.onnx                            ONNX
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from paddlesrv.errors import IntegrityError, NotFound, UsageError
from paddlesrv.models.pir import is_pir
from paddlesrv.models.spec import Format

PARAMS_SUFFIX = ".pdiparams"
COMBINED_PARAMS = ("__params__", "params")
ENCRYPTED = ("encrypt_model", "encrypt_params")
"""What Paddle Serving's converter calls a program and parameters that it has encrypted."""

_DEPTH_MAX = 4  # archives wrap a model in a directory or two
_ENTRIES_MAX = 20_000
_HEAD_BYTES = 4096
_ORDER: list[Format] = ["paddle-program", "paddle-pir", "onnx"]
_PICKLES = (".pdparams", ".pdopt", ".pkl", ".pickle", ".pth", ".pt")
_EXPORT_RECIPE = (
    "export the network first, in Python: paddle.jit.save(network.eval(), 'inference', "
    "input_spec=[paddle.static.InputSpec([None, 3, 224, 224], 'float32', 'x')])",
    "then use the files that it writes: inference.json (or inference.pdmodel) "
    "and inference.pdiparams",
)


class Nearest(NamedTuple):
    """What lies at the level of the first program, and what was met on the way there.

    `programs` are sorted: of one network in several formats, the one to take comes first.
    """

    programs: list[tuple[Format, Path]]
    others: list[Path]


def find_program(directory: Path) -> tuple[Format, Path]:
    """The one program in a directory or, if there is none, in the nearest directories below.

    Raises:
        NotFound: the directory does not exist.
        IntegrityError: no program is there, only pickled weights are, or several programs are.
        UsageError: the program is encrypted.
    """
    programs, others = nearest_programs(directory)
    if programs:
        return _preferred(directory, programs)
    refuse_encrypted(others)
    pickles = [path for path in others if path.suffix in _PICKLES]
    if pickles:
        raise pickle_refused(pickles[0])
    raise IntegrityError(
        f"no model was found in {directory}",
        context={"looked for": "__model__, *.pdmodel, *.json (PIR), *.onnx"},
    )


def nearest_programs(directory: Path) -> Nearest:
    """All programs in a directory or, if there are none, in the nearest directories below.

    Where one network lies there in several formats, a ProgramDesc goes before PIR (it loads
    faster and needs no work-around) and PIR before ONNX.

    Raises:
        NotFound: the directory does not exist.
        IntegrityError: it holds more files than a model does.
    """
    if not directory.is_dir():
        raise NotFound(f"{directory} is not a directory")
    level, seen = [directory], 0
    others: list[Path] = []
    for _ in range(_DEPTH_MAX + 1):
        found: list[tuple[Format, Path]] = []
        below: list[Path] = []
        for place in level:
            entries = sorted(place.iterdir())
            seen += len(entries)
            if seen > _ENTRIES_MAX:
                raise IntegrityError(f"{directory} holds more than {_ENTRIES_MAX} files")
            for entry in entries:
                if entry.is_dir() and not entry.is_symlink():
                    below.append(entry)
                elif entry.is_file():
                    kind = program_format(entry)
                    if kind:
                        found.append((kind, entry))
                    else:
                        others.append(entry)
        if found:
            found.sort(key=lambda pair: _ORDER.index(pair[0]))
            return Nearest(found, others)
        level = below
    return Nearest([], others)


def networks(programs: Iterable[tuple[Format, Path]]) -> list[Path]:
    """One program for each network: those that differ only in their suffix are one."""
    first: dict[tuple[Path, str], Path] = {}
    for _, path in programs:
        first.setdefault((path.parent, path.stem), path)
    return list(first.values())


def program_format(path: Path) -> Format | None:
    """The format that a file's name (and, for JSON, its first bytes) says; None: no program."""
    if path.name == "__model__" or path.suffix == ".pdmodel":
        return "paddle-program"
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix == ".json":
        with path.open("rb") as file:
            return "paddle-pir" if is_pir(file.read(_HEAD_BYTES)) else None
    return None


def find_params(program: Path) -> Path | None:
    """The combined parameters that belong to a program, or None."""
    beside = program.with_suffix(PARAMS_SUFFIX)
    candidates = [beside] if program.name != "__model__" else []
    candidates += [program.with_name(name) for name in COMBINED_PARAMS]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    others = sorted(program.parent.glob("*" + PARAMS_SUFFIX))
    return others[0] if len(others) == 1 else None


def check_params(path: Path) -> None:
    """Refuse parameters that are empty, or are a pickle under another name.

    Raises:
        IntegrityError: they are.
    """
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        raise IntegrityError(f"{path.name} is empty: the model has lost its parameters")
    # Parameters begin with a 32-bit version number, 0 so far; a pickle with its protocol opcode.
    if head[0] == 0x80 and head[1:] in (b"\2", b"\3", b"\4", b"\5"):
        raise pickle_refused(path)


def refuse_encrypted(files: Iterable[Path]) -> None:
    """Refuse what Paddle Serving's converter encrypted, with the way to what it was.

    Raises:
        UsageError: such a program is among the files.
    """
    path = next((path for path in files if path.name in ENCRYPTED), None)
    if path is None:
        return
    directory = str(path.parent)
    key = str(path.with_name("key")) if path.with_name("key").is_file() else "KEY_FILE"
    code = (
        "from paddle.base import core; from pathlib import Path; "
        f"d = Path({directory!r}); k = core.CipherUtils.read_key_from_file({key!r}); "
        "c = core.CipherFactory.create_cipher(); "
        "[(d / b).write_bytes(c.decrypt_from_file(k, str(d / a))) for a, b in "
        "(('encrypt_model', '__model__'), ('encrypt_params', '__params__'))]"
    )
    raise UsageError(
        f"the model in {directory} is encrypted, and cannot be read",
        context={
            "found": path.name,
            "why": "the ancestor's server was sent the key by its clients; this one is not",
        },
        hints=[
            f"decrypt it with the key: python -c {shlex.quote(code)}",
            f"then: paddlesrv import {shlex.quote(directory)}",
        ],
    )


def missing(program: Path, names: Iterable[str]) -> list[str]:
    """Those scattered parameters that do not lie beside the program."""
    return [name for name in names if not _plain(name) or not (program.parent / name).is_file()]


def pickle_refused(path: Path) -> IntegrityError:
    """The refusal of a pickle, with the way to a file that can be served."""
    return IntegrityError(
        f"{path.name} is a pickle of weights, not a network that can be served",
        context={"why": "a pickle holds no network, and can run code when it is opened"},
        hints=_EXPORT_RECIPE,
    )


def _plain(name: str) -> bool:
    # Parameter names come from the program, which may be anybody's.
    return "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts


def _preferred(directory: Path, found: list[tuple[Format, Path]]) -> tuple[Format, Path]:
    if len(networks(found)) > 1:
        names = ", ".join(str(path.relative_to(directory)) for _, path in found[:8])
        raise IntegrityError(
            f"{len(found)} models lie in {directory}, and nothing says which is meant",
            context={"found": names},
            hints=["name the directory of one of them, or remove the others"],
        )
    return found[0]
