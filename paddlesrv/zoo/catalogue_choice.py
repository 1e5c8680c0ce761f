"""Which catalogue is in force, and loading it: PADDLESRV_CATALOGUE > updated > built in.

STATE/catalogue/current.json          which manifest was taken, from where, and why it is trusted
STATE/catalogue/manifest-SHA256.yaml  that manifest

An updated catalogue holds until paddlesrv ships a newer one. A damaged one is an error that says
how to get rid of it, never a silent step back to an older catalogue.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import msgspec

from paddlesrv.errors import IntegrityError
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue, data_directory, moment

RESET = "go back to the one that is built in: paddlesrv catalog update --reset"
LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_HEAD_BYTES = 16 << 10
_PUBLISHED = re.compile(rb"^published:\s*[\"']?([0-9T:.+\-Z]+)", re.MULTILINE)

Origin = Literal["PADDLESRV_CATALOGUE", "updated", "built in"]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """An updated catalogue, as it was taken.

    `outranks` is the date up to which a built-in catalogue is the older one: its own date, or a
    later one where somebody insisted. `key` names the public key that signed it, if any.
    """

    url: str
    sha256: str
    published: datetime | None
    outranks: datetime
    taken_at: datetime
    key: str | None = None
    comment: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest in force; `superseded` is an update that a newer built-in one has overtaken."""

    origin: Origin
    path: Path
    update: Update | None = None
    superseded: Update | None = None


def update_directory(settings: Settings) -> Path:
    """Where an updated catalogue lies."""
    return settings.state_dir / "catalogue"


def manifest_path(settings: Settings, sha256: str) -> Path:
    """Where the updated manifest of that digest lies."""
    return update_directory(settings) / f"manifest-{sha256}.yaml"


def read_update(settings: Settings) -> Update | None:
    """The updated catalogue's record, or None.

    Raises:
        IntegrityError: it is damaged.
    """
    path = update_directory(settings) / "current.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Update)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"the record of the updated catalogue is damaged: {error}",
            context={"file": str(path)},
            hints=[RESET],
        ) from error


def builtin_published() -> datetime:
    """The date of the built-in catalogue, without reading all of it."""
    with (data_directory() / "manifest.yaml").open("rb") as file:
        found = _PUBLISHED.search(file.read(_HEAD_BYTES))
    return moment(found[1].decode()) if found else LONG_AGO


def choose(settings: Settings) -> Choice:
    """Which manifest is in force; it is not read.

    Raises:
        IntegrityError: the record of an updated one is damaged, or paddlesrv itself is.
    """
    if settings.catalogue is not None:
        return Choice(origin="PADDLESRV_CATALOGUE", path=settings.catalogue)
    shipped = data_directory() / "manifest.yaml"
    update = read_update(settings)
    if update is None:
        return Choice(origin="built in", path=shipped)
    if builtin_published() > update.outranks:
        return Choice(origin="built in", path=shipped, superseded=update)
    return Choice(origin="updated", path=manifest_path(settings, update.sha256), update=update)


def load_catalogue(settings: Settings) -> Catalogue:
    """The catalogue in force.

    Raises:
        UsageError: that of PADDLESRV_CATALOGUE cannot be read or is not valid.
        IntegrityError: the updated one, or the one that is built in, is damaged.
    """
    choice = choose(settings)
    if choice.update is None:
        return Catalogue.load(settings.catalogue)
    try:
        data = choice.path.read_bytes()
    except OSError as error:
        raise _damaged(choice.path, error.strerror or str(error)) from error
    got = hashlib.sha256(data).hexdigest()
    if got != choice.update.sha256:
        raise _damaged(choice.path, f"expected sha256 {choice.update.sha256}, got {got}")
    return Catalogue.parse(data, choice.path, IntegrityError, (RESET,), data_directory())


def _damaged(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"the updated catalogue is damaged: {why}", context={"file": str(path)}, hints=[RESET]
    )
