"""Taking a newer catalogue, and going back to the one that is built in.

A manifest is taken only if its bytes are those of a digest that the user gives, or are signed with
a key that the user trusts; if it is a catalogue that this paddlesrv can read; and if it is no older
than the one in force, since an old signature stays good for ever.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from paddlesrv.errors import IntegrityError, NotFound, SourceUnreachable, UsageError
from paddlesrv.settings import Settings
from paddlesrv.zoo import minisign, network
from paddlesrv.zoo.catalogue import Catalogue, data_directory
from paddlesrv.zoo.catalogue_choice import (
    LONG_AGO,
    Update,
    builtin_published,
    manifest_path,
    read_update,
    update_directory,
)
from paddlesrv.zoo.disk import clean_disk_errors
from paddlesrv.zoo.entries import FileSource
from paddlesrv.zoo.locks import locked
from paddlesrv.zoo.small_files import read_small

MANIFEST_BYTES_MAX = 16 << 20
_HELD_BACK = "the catalogue in force is as it was"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue that was fetched, verified and read, and is not in force yet."""

    data: bytes
    catalogue: Catalogue
    update: Update


def fetch_offer(
    url: str,
    settings: Settings,
    *,
    sha256: str | None = None,
    public_key: str | None = None,
    force: bool = False,
) -> Offer:
    """Fetch a manifest and see whether it may be taken.

    Args:
        url: `https:`, `http:` or `file:`; or a path.
        settings: Whether we are offline; the key, where none is given.
        sha256: What its bytes must hash to, hexadecimal.
        public_key: A minisign key, or a file with one; `URL.minisig` must be signed with it.
            Without it and without a digest, the one of the settings.
        force: Take an older one than is in force.

    Raises:
        UsageError: neither a digest nor a key is given, or one that cannot be meant.
        SourceUnreachable: the URL does not answer, or we are offline.
        NotFound: there is nothing at the URL.
        IntegrityError: the digest, the signature, the manifest or its date is not what it must be.
    """
    digest = _checked_digest(sha256)
    if digest is None and public_key is None:
        public_key = settings.catalogue_key
    if digest is None and public_key is None:
        raise UsageError(
            "nothing vouches for that catalogue: give its digest, or the key that signed it",
            hints=[
                f"paddlesrv catalog update --url {network.mask(url)} --sha256 HEX",
                f"paddlesrv catalog update --url {network.mask(url)} --public-key minisign.pub",
            ],
        )
    key = minisign.read_public_key(public_key) if public_key is not None else None
    place = _as_url(url)
    if settings.offline and network.file_path(place) is None:
        raise SourceUnreachable(
            f"{network.mask(url)} is not asked: paddlesrv is offline",
            hints=["go online: unset PADDLESRV_OFFLINE"],
        )
    with network.open_client() as client:
        data = read_small(client, place, MANIFEST_BYTES_MAX)
        if data is None:
            raise NotFound(f"there is no catalogue at {network.mask(url)}")
        got = hashlib.sha256(data).hexdigest()
        if digest is not None and got != digest:
            raise IntegrityError(
                f"{network.mask(url)} is not the catalogue of that digest; {_HELD_BACK}",
                context={"expected": f"sha256 {digest}", "got": f"sha256 {got}"},
            )
        comment = None
        if key is not None:
            signed = read_small(client, _signature_url(place), minisign.FILE_BYTES_MAX)
            comment = _verified(data, signed, key, url)
    catalogue = _read(data, url)
    update = Update(
        url=network.mask(place),
        sha256=got,
        published=catalogue.published,
        outranks=_outranks(catalogue, settings, force),
        taken_at=datetime.now(timezone.utc).replace(microsecond=0),
        key=key.name if key is not None else None,
        comment=comment,
    )
    return Offer(data=data, catalogue=catalogue, update=update)


def take(offer: Offer, settings: Settings) -> None:
    """Put a catalogue in force, in one step for every reader.

    Raises:
        PaddlesrvError: the state directory cannot be written.
    """
    directory = update_directory(settings)
    with clean_disk_errors(directory), _alone(directory):
        target = manifest_path(settings, offer.update.sha256)
        _write(target, offer.data)
        record = msgspec.json.format(msgspec.json.encode(offer.update), indent=2)
        _write(directory / "current.json", record)
        for old in directory.glob("manifest-*.yaml"):
            if old != target:
                old.unlink(missing_ok=True)


def reset(settings: Settings) -> bool:
    """Go back to the catalogue that is built in; whether there was another one, sound or damaged.

    Raises:
        PaddlesrvError: the state directory cannot be written.
    """
    directory = update_directory(settings)
    if not directory.is_dir():
        return False
    with clean_disk_errors(directory):
        with _alone(directory):
            found = any(path.suffix in (".json", ".yaml") for path in directory.iterdir())
            (directory / "current.json").unlink(missing_ok=True)
        shutil.rmtree(directory)
    return found


def changes(old: Catalogue, new: Catalogue) -> dict[str, list[str]]:
    """Names of models that are added, removed and changed from one catalogue to the other."""
    before = {entry.name: entry for entry in old.entries}
    after = {entry.name: entry for entry in new.entries}
    return {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "changed": [n for n, entry in after.items() if n in before and before[n] != entry],
    }


def _checked_digest(text: str | None) -> str | None:
    if text is None:
        return None
    digest = text.strip().lower().removeprefix("sha256:")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise UsageError(
            f"--sha256 {text!r} is no sha256", context={"expected": "64 hexadecimal digits"}
        )
    return digest


def _as_url(place: str) -> str:
    return place if "://" in place else Path(place).expanduser().absolute().as_uri()


def _signature_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path}.minisig"))


def _verified(data: bytes, signed: bytes | None, key: minisign.PublicKey, url: str) -> str:
    where = f"{network.mask(url)}.minisig"
    if signed is None:
        raise IntegrityError(
            f"{network.mask(url)} is not signed; {_HELD_BACK}",
            context={"expected": where},
            hints=["if you know its digest: --sha256 HEX"],
        )
    try:
        return minisign.verify(data, minisign.parse_signature(signed), key)
    except IntegrityError as error:
        raise IntegrityError(
            f"{error.message}; {_HELD_BACK}", context={"signature": where, **error.context}
        ) from error


def _read(data: bytes, url: str) -> Catalogue:
    """The manifest, as far as this paddlesrv can read it, whole."""
    newer = ["it may be meant for a newer paddlesrv: pip install --upgrade paddlesrv"]
    catalogue = Catalogue.parse(
        data, Path(network.mask(url)), IntegrityError, newer, data_directory()
    )
    for entry in catalogue.entries:
        every = (*entry.sources, *(extra.source for extra in entry.extras))
        if any(isinstance(source, FileSource) for source in every):
            raise IntegrityError(
                f"{entry.name} would be taken from a file of this machine; {_HELD_BACK}",
                context={"catalogue": network.mask(url)},
            )
    return catalogue


def _outranks(new: Catalogue, settings: Settings, force: bool) -> datetime:
    """The date up to which the built-in catalogue is the older one.

    Raises:
        IntegrityError: the new one is older than the one in force.
    """
    builtin = builtin_published()
    newest = builtin
    try:
        update = read_update(settings)
    except IntegrityError:
        update = None  # it is about to be replaced
    if update is not None and update.published is not None:
        newest = max(newest, update.published)
    if new.published is not None and new.published >= newest:
        return new.published
    if not force:
        raise IntegrityError(
            f"that catalogue is older than the one in force; {_HELD_BACK}",
            context={
                "its date": f"{new.published:%Y-%m-%d %H:%M} UTC" if new.published else "none",
                "in force": f"{newest:%Y-%m-%d %H:%M} UTC",
            },
            hints=["if an older one is wanted: paddlesrv catalog update --force ..."],
        )
    return max(builtin, new.published or LONG_AGO)


def _alone(directory: Path) -> AbstractContextManager[None]:
    return locked(directory / "lock", lambda: None)


def _write(path: Path, data: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
