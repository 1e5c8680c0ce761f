"""Where a model's files can come from in this run: catalogue sources, a mirror, or what was named.

Nothing here opens anything: it turns what the catalogue and the user say into `Candidate`s, each
of which says all that fetching and unpacking need.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec

from paddlesrv.errors import UsageError
from paddlesrv.zoo import network
from paddlesrv.zoo.entries import FileSource, HttpsSource, PackageSource, Source, TarballSource


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One place to try.

    `url` is http(s) or file; None for a package's file, whose address its index tells; `version`
    is there for an npm package, whose registry is asked for it. `pin` is
    the name under which a digest that nobody published is remembered; None where it is not (a
    local path that the user names is the user's own word). `listed` is MODEL/FILE for a file of a
    mirror, under which the mirror's own list may give a digest.
    """

    kind: str
    where: str
    basename: str
    url: str | None = None
    path: Path | None = None
    package: str | None = None
    version: str | None = None
    pin: str | None = None
    listed: str | None = None
    sha256: str | None = None
    size: int | None = None
    shown_size: int | None = None
    members: dict[str, str] | None = None

    @property
    def remote(self) -> bool:
        """Whether fetching it opens a connection."""
        return self.path is None


def candidates(
    sources: Sequence[Source], model: str, *, mirror: str | None, manifest_dir: Path
) -> list[Candidate]:
    """The catalogue's sources in order; with a mirror the same files there, and nowhere else."""
    own = [_candidate(source, manifest_dir) for source in sources]
    if mirror is None:
        return own
    mirrored = [_mirrored(candidate, model, mirror) for candidate in own]
    unique = {candidate.where: candidate for candidate in reversed(mirrored)}
    return [c for c in reversed(list(unique.values()))]


def exported(model: str, mirror: str | None) -> list[Candidate]:
    """Where a mirror may have what somebody exported of a model that nobody else offers.

    It is `MODEL/MODEL.tar.gz`, put there by hand; `SHA256SUMS` may list it as any other file.
    """
    if mirror is None:
        return []
    basename = f"{safe_basename(model)}.tar.gz"
    return [_mirrored(Candidate(kind="export", where=basename, basename=basename), model, mirror)]


def of_kind(found: Sequence[Candidate], kind: str | None, model: str) -> list[Candidate]:
    """Only the candidates of one kind.

    Raises:
        UsageError: there is none.
    """
    if kind is None:
        return list(found)
    chosen = [candidate for candidate in found if candidate.kind == kind]
    if not chosen:
        kinds = sorted({candidate.kind for candidate in found})
        raise UsageError(
            f"{model} has no source of the kind {kind!r}",
            context={"kinds": ", ".join(kinds) or "none"},
        )
    return chosen


def named(place: str, sources: Sequence[Source], manifest_dir: Path) -> Candidate:
    """What the user names instead of the catalogue's sources: a URL, an archive or a directory.

    Where it is called as a source's file is, it must be that file and is unpacked as that one.
    """
    is_url = "://" in place
    path = network.file_path(place) if is_url else Path(place).expanduser().absolute()
    basename = _basename(urlsplit(place).path if is_url else str(path))
    where = network.mask(place) if is_url else str(path)
    for known in (_candidate(source, manifest_dir) for source in sources):
        if known.basename == basename:
            return msgspec.structs.replace(
                known,
                kind="from",
                where=where,
                url=place if is_url else None,
                path=path,
                package=None,
            )
    pin = network.without_credentials(place) if path is None else None
    return Candidate(
        kind="from", where=where, basename=basename, url=place if is_url else None, path=path,
        pin=pin,
    )  # fmt: skip


def safe_basename(name: str) -> str:
    """A file name of ours for a name that somebody else chose."""
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", name)[-100:].lstrip(".")
    return safe or "file"


def _candidate(source: Source, manifest_dir: Path) -> Candidate:
    if isinstance(source, HttpsSource):
        return Candidate(
            kind="https",
            where=network.mask(source.url),
            basename=_basename(urlsplit(source.url).path),
            url=source.url,
            pin=source.url,
            sha256=source.sha256,
            size=source.size,
            shown_size=source.size or source.approximate_size,
        )
    if isinstance(source, PackageSource):
        npm = isinstance(source, TarballSource)
        return Candidate(
            kind="tarball" if npm else "wheel",
            where=f"{source.package} {source.version} ({source.file})",
            basename=source.file,
            package=source.package,
            version=source.version if npm else None,
            sha256=source.sha256,
            size=source.size,
            shown_size=source.size,
            members=dict(source.members),
        )
    return _file_candidate(source, manifest_dir)


def _file_candidate(source: FileSource, manifest_dir: Path) -> Candidate:
    path = manifest_dir / Path(source.path).expanduser()
    return Candidate(
        kind="file",
        where=str(path),
        basename=path.name,
        path=path,
        sha256=source.sha256,
    )


def _mirrored(candidate: Candidate, model: str, mirror: str) -> Candidate:
    """The same file at `MIRROR/MODEL/FILE`; the catalogue's digest or our pin still decides."""
    if "://" in mirror:
        names = (quote(model, safe=""), quote(candidate.basename, safe=""))
        url = "/".join((mirror.rstrip("/"), *names))
        path = network.file_path(url)
        where = network.mask(url)
    else:
        url = None
        path = Path(mirror).expanduser().absolute() / model / candidate.basename
        where = str(path)
    return msgspec.structs.replace(
        candidate,
        kind="mirror",
        where=where,
        url=url,
        path=path,
        package=None,
        listed=f"{model}/{candidate.basename}",
    )


def _basename(path: str) -> str:
    return safe_basename(unquote(path.rstrip("/").rpartition("/")[2]))
