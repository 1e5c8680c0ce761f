"""Which model a name in a configuration means: of the catalogue, an own one, a directory or file.

Nothing here opens a connection, and nothing is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from paddlesrv.errors import IntegrityError, NotFound, UsageError
from paddlesrv.server.config import ModelConfig
from paddlesrv.zoo.names import as_name, default_name

if TYPE_CHECKING:
    from paddlesrv.models.spec import ModelSpec
    from paddlesrv.sealing.opening import SealedModel
    from paddlesrv.server.local_model import LocalModel
    from paddlesrv.zoo.catalogue import Catalogue
    from paddlesrv.zoo.entries import Entry
    from paddlesrv.zoo.store import Store

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+&-]+")


@dataclass(frozen=True)
class Located:
    """A configured model once its name is understood.

    `config.name` is the model's own name from here on; `asked` is what was written. At most one of
    `entry` (a model of the catalogue), `directory` (a directory outside the store) and `sealed` (an
    encrypted file) is set; none is for an own model in the store. `task` is what a model that is
    here can be asked as.
    """

    config: ModelConfig
    asked: str
    entry: Entry | None = None
    directory: Path | None = None
    sealed: SealedModel | None = None
    by_alias: bool = False
    task: str | None = None

    @property
    def place(self) -> Path | None:
        """The directory or file that it was named by; None for a name."""
        return self.sealed.path if self.sealed is not None else self.directory


def locate(configs: Sequence[ModelConfig], catalogue: Catalogue, store: Store) -> list[Located]:
    """What each configured name means.

    A name with a separator in it is a path; another one is a name first, and the path of a
    directory only where no model is called so.

    Raises:
        NotFound: a name means nothing.
        UsageError: two of them mean the same model.
    """
    found = [_locate(config, catalogue, store) for config in configs]
    asked: dict[str, str] = {}
    for model in found:
        name = model.config.name
        if name in asked:
            raise UsageError(
                f"{name} is configured twice",
                context={"found": f"{asked[name]}, {model.asked}"},
                hints=["name each model once; --instances gives it several workers"],
            )
        asked[name] = model.asked
    return found


def missing(located: Sequence[Located], store: Store) -> list[str]:
    """Models of the catalogue that are not installed, or whose components are not."""
    names = []
    for model in located:
        if model.entry is not None:
            parts = (model.entry.name, *model.entry.components.values())
            if any(store.installed(part) is None for part in parts):
                names.append(model.entry.name)
    return names


def find_local(
    located: Sequence[Located], catalogue: Catalogue, store: Store, name: str
) -> LocalModel:
    """A located model, or a component of one, as it lies on this machine.

    Raises:
        NotFound: it is not installed.
        IntegrityError: its directory holds no model that can be served.
        UsageError: it is encrypted, and was not unlocked.
    """
    from paddlesrv.server.local_model import LocalModel

    for model in located:
        if model.sealed is not None and name in {model.config.name, *model.sealed.models}:
            inside = model.sealed.head.model if name == model.config.name else name
            spec, root, sealed = model.sealed.open(inside)
            return LocalModel(msgspec.structs.replace(spec, name=name), root, sealed=sealed)
        if model.config.name == name and model.directory is not None:
            return LocalModel(read_directory(model.directory, name), model.directory)
    installed = store.installed(name)
    if installed is None:
        raise NotFound(f"{name} is not installed", hints=[f"get it: paddlesrv get {name}"])
    try:
        aliases = catalogue.get(name).aliases
    except NotFound:
        aliases = ()
    return LocalModel(installed.spec, installed.directory, aliases)


def read_directory(directory: Path, name: str) -> ModelSpec:
    """The spec of a model that lies in a directory; without one of its own, it takes tensors.

    Raises:
        IntegrityError: it holds no model, or a damaged one.
    """
    from paddlesrv.models.signature import read_signature
    from paddlesrv.models.spec import ModelSpec

    own = directory / "spec.json"
    if own.is_file():
        try:
            spec = msgspec.json.decode(own.read_bytes(), type=ModelSpec)
            return msgspec.structs.replace(spec, name=name)
        except msgspec.MsgspecError as error:
            raise IntegrityError(
                f"{own} is not a model's description: {error}",
                hints=[f"remove it, and the files alone decide: rm {own}"],
            ) from error
    signature = read_signature(directory)
    return ModelSpec(
        name=name,
        task="tensors",
        format=signature.format,
        program=signature.program,
        params=signature.params,
        inputs=signature.inputs,
        outputs=signature.outputs,
        aliases=signature.aliases,
    )


def is_onnx(model: Located, store: Store) -> bool:
    """Whether a model's network is an ONNX file, fetched or not.

    Raises:
        IntegrityError: its directory holds no model.
    """
    if model.entry is not None:
        return model.entry.is_onnx
    if model.sealed is not None:
        return model.sealed.head.format == "onnx"
    if model.directory is not None:
        from paddlesrv.models.layout import find_program

        return find_program(model.directory)[0] == "onnx"
    own = store.installed(model.config.name)
    return own is not None and own.spec.format == "onnx"


def _locate(config: ModelConfig, catalogue: Catalogue, store: Store) -> Located:
    if config.path is not None:
        return _named(config, Path(config.path).expanduser())
    path = Path(config.name).expanduser()
    if "/" in config.name or "\\" in config.name:
        return _directory(config, path)
    try:
        resolved = catalogue.resolve(config.name)
    except NotFound:
        if path.is_dir() or path.is_file():
            return _directory(config, path)
        own = None if _NOT_IN_NAMES.search(config.name) else store.installed(config.name)
        if own is None:
            raise
        task = own.spec.task if own.spec.task != "tensors" else None
        return Located(config, config.name, task=task)
    entry = resolved.entry
    named = msgspec.structs.replace(config, name=entry.name)
    return Located(named, config.name, entry, by_alias=resolved.by_alias, task=entry.task)


def _named(config: ModelConfig, path: Path) -> Located:
    if as_name(config.name) != config.name:
        raise UsageError(
            f"{config.name!r} cannot be a model's name",
            hints=[f"call it {as_name(config.name) or 'model'}"],
        )
    found = _directory(config, path)
    return replace(found, config=msgspec.structs.replace(found.config, name=config.name))


def _directory(config: ModelConfig, path: Path) -> Located:
    if path.is_file():
        return _sealed(config, path)
    if not path.is_dir():
        raise NotFound(
            f"{config.path or config.name} is not a directory with a model, or an encrypted one",
            hints=["see the models that have names: paddlesrv list"],
        )
    directory = path.resolve()
    name = as_name(default_name(directory)) or "model"
    named = msgspec.structs.replace(config, name=name, path=None)
    return Located(named, config.path or config.name, directory=directory)


def _sealed(config: ModelConfig, path: Path) -> Located:
    from paddlesrv.sealing.opening import SealedModel

    sealed = SealedModel(path.resolve())
    named = msgspec.structs.replace(config, name=sealed.head.model, path=None)
    task = sealed.head.task if sealed.head.task != "tensors" else None
    return Located(named, config.path or config.name, sealed=sealed, task=task)
