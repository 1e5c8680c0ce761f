"""From the path that a user names to one network: its program, its files, and what it declares.

A path is a directory, one file of a model, or an archive, which is unpacked by the rules that hold
for all archives. Nothing is chosen in silence: several networks are an error that lists them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from paddlesrv.errors import IntegrityError, NotFound, PaddlesrvError, UsageError
from paddlesrv.importing.refusals import Kind, recognise, refusal, refused_among
from paddlesrv.models import layout, serving_conf
from paddlesrv.models.signature import Signature, read_signature
from paddlesrv.models.spec import Format
from paddlesrv.zoo.archive import extract
from paddlesrv.zoo.members import is_archive

_SHOWN = 8


class Origin(NamedTuple):
    """One network as it lies there; the signature's paths are relative to `directory`."""

    directory: Path
    signature: Signature
    aliases: dict[str, str]
    """Names by which Paddle Serving's clients know the tensors."""
    unpacked: bool
    """Whether the files are ours to move away."""
    ignored: tuple[str, ...]
    """Files that are no part of it and that somebody may have expected to be."""
    doubts: tuple[str, ...] = ()
    """Where Paddle Serving's config says something else than the network."""


def find_origin(path: Path, scratch: Path) -> Origin:
    """The network that a path means.

    Args:
        path: A directory, a model's program or parameters, or an archive; absolute.
        scratch: A directory that does not exist yet, where an archive may be unpacked.

    Raises:
        NotFound: nothing is there.
        UsageError: it holds no network, several of them, or only a pickle or another framework's.
        IntegrityError: a file of it is damaged or missing, or the archive breaks a rule.
        PaddlesrvError: it cannot be read.
    """
    try:
        if path.is_dir():
            return _of_directory(path, path)
        if not path.exists():
            raise NotFound(
                f"{path} is not there",
                hints=["give a model's directory, its program, an .onnx file, or an archive"],
            )
        if not path.is_file():
            raise UsageError(f"{path} is neither a file nor a directory")
        return _of_file(path, scratch)
    except PermissionError as error:
        raise unreadable(Path(error.filename or path)) from error


def unreadable(path: Path) -> PaddlesrvError:
    """What is said of a file of the user's that may not be read."""
    return PaddlesrvError(
        f"{path} cannot be read: you have no permission",
        hints=[f"see who may: ls -la {shlex.quote(str(path))}"],
    )


def _of_file(path: Path, scratch: Path) -> Origin:
    if path.stat().st_size == 0:
        raise IntegrityError(f"{path.name} is empty", context={"file": str(path)})
    kind = recognise(path)
    if kind is not None:
        raise refusal(path, kind)
    if layout.program_format(path):
        return _read(path)
    if path.suffix == layout.PARAMS_SUFFIX or path.name in layout.COMBINED_PARAMS:
        return _read(_program_of(path))
    if is_archive(path):
        extract(path, scratch)
        return _of_directory(scratch, path)
    raise UsageError(
        f"{path.name} is not a model that paddlesrv knows how to read",
        context={
            "file": str(path),
            "wanted": "__model__, *.pdmodel, *.json (PIR), *.onnx, a directory with one of them, "
            "or such a directory as tar, zip or wheel",
        },
    )


def _program_of(params: Path) -> Path:
    """The program beside a file of parameters."""
    candidates = [params.with_suffix(end) for end in (".pdmodel", ".json")]
    candidates.append(params.with_name("__model__"))
    for candidate in candidates:
        if candidate.is_file() and layout.program_format(candidate):
            return candidate
    raise UsageError(
        f"{params.name} is the parameters of a model, and its program is not beside them",
        context={"looked for": ", ".join(path.name for path in candidates)},
        hints=["give the directory that holds both"],
    )


def _of_directory(directory: Path, path: Path) -> Origin:
    programs, others = layout.nearest_programs(directory)
    # Paddle 2 wrote this one beside the parameters; nobody reads it, and nobody misses it.
    refused = refused_among(one for one in others if not one.name.endswith(".pdiparams.info"))
    if not programs:
        layout.refuse_encrypted(others)
        raise _nothing(directory, path, refused)
    networks = layout.networks(programs)
    if len(networks) > 1:
        raise _several(directory, path, networks)
    chosen, *forms = (program for _, program in programs)
    ignored = [str(other.relative_to(directory)) for other in (*forms, *(r[0] for r in refused))]
    return _read(chosen, unpacked=directory != path, ignored=ignored)


def _read(program: Path, *, unpacked: bool = False, ignored: Sequence[str] = ()) -> Origin:
    directory = program.parent
    signature = read_signature(directory, program.name)
    for name in signature.files[1:]:
        _check_place(directory, name, signature.format)
    aliases = dict(signature.aliases)
    names = {tensor.name for tensor in (*signature.inputs, *signature.outputs)}
    for alias, name in _client_aliases(directory).items():
        if name in names:
            aliases.setdefault(alias, name)
    conf = serving_conf.read(directory)
    doubts = serving_conf.doubts(conf, signature.inputs) if conf is not None else []
    return Origin(directory, signature, aliases, unpacked, tuple(ignored), tuple(doubts))


def _check_place(directory: Path, name: str, kind: Format) -> None:
    """Refuse raw weights that a link leads to elsewhere: they could be anybody's file."""
    if kind == "onnx" and not (directory / name).resolve().is_relative_to(directory.resolve()):
        raise IntegrityError(
            f"{name}, the weights of the model, is a link that leads out of its directory",
            context={"to": str((directory / name).resolve())},
            hints=[f"if that is meant, import a copy: cp -rL {shlex.quote(str(directory))} COPY"],
        )


def _client_aliases(directory: Path) -> dict[str, str]:
    """What Paddle Serving's client half of an export says, which lies beside the server half."""
    places = [directory, *(directory.parent / name for name in ("serving_client", "client"))]
    for place in places:
        conf = serving_conf.read(place, serving_conf.CLIENT_FILE_NAME)
        if conf is not None:
            return {variable.alias: variable.name for variable in (*conf.feeds, *conf.fetches)}
    return {}


def _nothing(directory: Path, path: Path, refused: list[tuple[Path, Kind]]) -> UsageError:
    if refused:
        return refusal(*refused[0])
    empty = not any(directory.iterdir())
    return UsageError(
        f"{path} is empty" if empty else f"no model was found in {path}",
        context={"looked for": "__model__, *.pdmodel, *.json (PIR), *.onnx"},
        hints=["give the directory with the exported network: paddlesrv import DIRECTORY"],
    )


def _several(directory: Path, path: Path, networks: list[Path]) -> UsageError:
    names = [str(network.relative_to(directory)) for network in networks]
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more"
    if directory == path:
        hints = [f"choose one by its file: paddlesrv import {shlex.quote(str(networks[0]))}"]
    else:
        hints = [
            f"unpack it: mkdir models && {_unpacking(path)}",
            f"then choose one by its file: paddlesrv import {shlex.quote('models/' + names[0])}",
        ]
    return UsageError(
        f"{len(names)} models lie in {path}, and nothing says which is meant",
        context={"found": shown},
        hints=hints,
    )


def _unpacking(path: Path) -> str:
    quoted = shlex.quote(str(path))
    if path.suffix in (".zip", ".whl"):
        return f"python -m zipfile -e {quoted} models"
    return f"tar -xf {quoted} -C models"
