"""Taking files out of archives that nobody vouches for: tar (gzip, bzip2, xz), zip, wheel.

The standard library reads the members; what is written, and where, is decided here. Only regular
files and directories exist for us. The bounds hold for any archive, since a digest proves where a
file came from and not that it is harmless.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.members import DAMAGE, Member, read_members

CHUNK_BYTES = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """What an archive may grow to. The ratio counts only once the output passes its floor."""

    files: int = 50_000
    file_bytes: int = 32 << 30
    total_bytes: int = 64 << 30
    ratio: float = 200.0
    ratio_floor_bytes: int = 256 << 20
    path_characters: int = 1024


def extract(
    archive: Path,
    target: Path,
    *,
    members: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> list[str]:
    """Write the files of an archive below `target`, a new private directory.

    Args:
        archive: The file; its kind is told by its first bytes, not by its name.
        target: Must not exist, or be empty; nobody else may write there meanwhile.
        members: Path in the archive -> path below target; both with a trailing "/" for a whole
            directory. None takes everything. What is not selected is neither judged nor written.
        limits: Bounds on number and size.

    Returns:
        The files written, relative to target, sorted.

    Raises:
        IntegrityError: a member that may not be, a bound, a damaged archive, or a selected
            member that is missing; names the member and the rule.
    """
    limits = limits or Limits()
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    writer = _Writer(archive, target, limits)
    selection = _Selection(members)
    try:
        for number, member in enumerate(read_members(archive), start=1):
            if number > limits.files:
                raise _refused(archive, member.name, f"more than {limits.files} members")
            place = selection.place_of(member.name)
            if place is None:
                writer.drain(member)
            else:
                writer.take(member, place)
    except DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # Of bad compressed data (no number) or a place outside the file; the disk's errors go up.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(archive, error) from error
    if missing := selection.missing():
        raise IntegrityError(
            f"{archive.name} does not hold {missing[0]}",
            context={"missing": ", ".join(missing)},
        )
    return sorted(writer.files)


class _Selection:
    """Which members are wanted, and where they go."""

    def __init__(self, members: Mapping[str, str] | None) -> None:
        self._files = {k: v for k, v in (members or {}).items() if not k.endswith("/")}
        self._directories = {k: v for k, v in (members or {}).items() if k.endswith("/")}
        self._everything = members is None
        self._found: set[str] = set()

    def place_of(self, name: str) -> str | None:
        """Where the member goes, as yet unjudged; None if it is not wanted."""
        if self._everything:
            return name
        plain = name.removeprefix("./")
        if plain in self._files:
            self._found.add(plain)
            return self._files[plain]
        for source, place in self._directories.items():
            if plain.startswith(source):
                if plain != source:
                    self._found.add(source)
                return (
                    place.rstrip("/") + "/" + plain[len(source) :]
                    if place.strip("./")
                    else (plain[len(source) :] or "./")
                )
        return None

    def missing(self) -> list[str]:
        """What was asked for and never seen."""
        return sorted((self._files.keys() | self._directories.keys()) - self._found)


class _Writer:
    """Judges members and writes those that pass, keeping count of everything."""

    def __init__(self, archive: Path, target: Path, limits: Limits) -> None:
        self.files: list[str] = []
        self._archive = archive
        self._target = target
        self._limits = limits
        self._allowed = max(limits.ratio_floor_bytes, limits.ratio * archive.stat().st_size)
        self._total = 0
        self._kinds: dict[str, str] = {}
        self._spellings: dict[str, str] = {}

    def take(self, member: Member, place: str) -> None:
        """Write one member to its place."""
        if member.refusal:
            raise self._refuse(member, member.refusal)
        path = self._judge(member, place)
        if path is None:
            return
        if member.directory:
            self._enter(member, path, "directory")
            (self._target / path).mkdir(mode=0o755, parents=True, exist_ok=True)
            return
        self._enter(member, path, "file")
        (self._target / path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._target / path, flags, 0o644), "wb") as file:
            self._pump(member, file)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        self.files.append(str(path))

    def drain(self, member: Member) -> None:
        """Read past a member that is not wanted; its bytes count all the same."""
        if member.streamed:
            self._pump(member, None)

    def _pump(self, member: Member, file: IO[bytes] | None) -> None:
        if member.open is None:
            return
        with member.open() as content:
            self._copy(member, content, file)

    def _copy(self, member: Member, content: IO[bytes], file: IO[bytes] | None) -> None:
        size = 0
        while chunk := content.read(CHUNK_BYTES):
            size += len(chunk)
            self._total += len(chunk)
            if size > self._limits.file_bytes:
                raise self._refuse(member, f"larger than {self._limits.file_bytes} bytes")
            if self._total > self._limits.total_bytes:
                raise self._refuse(
                    member, f"all together larger than {self._limits.total_bytes} bytes"
                )
            if self._total > self._allowed:
                raise self._refuse(
                    member, f"more than {self._limits.ratio:g} times the archive's own size"
                )
            if file is not None:
                file.write(chunk)

    def _judge(self, member: Member, place: str) -> PurePosixPath | None:
        """The path that a member may be written to; None for the root itself."""
        for text in (member.name, place):
            if rule := _broken_rule(text, self._limits):
                raise self._refuse(member, rule)
        parts = [part for part in place.split("/") if part not in ("", ".")]
        if not parts:
            if member.directory:
                return None
            raise self._refuse(member, "no name")
        return PurePosixPath(*parts)

    def _enter(self, member: Member, path: PurePosixPath, kind: str) -> None:
        """Note the path and the directories above it; refuse what is there under any spelling."""
        steps = [*reversed(path.parents)][1:]
        for step, its_kind in [*((s, "directory") for s in steps), (path, kind)]:
            text = str(step)
            folded = unicodedata.normalize("NFC", text).casefold()
            if self._spellings.setdefault(folded, text) != text:
                raise self._refuse(
                    member, f"its name differs only in case from {self._spellings[folded]!r}"
                )
            known = self._kinds.get(text)
            if known is not None and (its_kind == "file" or known == "file"):
                raise self._refuse(member, "its name is there twice")
            self._kinds[text] = its_kind

    def _refuse(self, member: Member, rule: str) -> IntegrityError:
        return _refused(self._archive, member.name, rule)


def _broken_rule(name: str, limits: Limits) -> str | None:
    if not name.isprintable():
        return "control characters or bytes that are no text in its name"
    if name.startswith("/"):
        return "an absolute path"
    if _DRIVE.match(name) or "\\" in name:
        return "a drive letter or a backslash in its name"
    parts = name.split("/")
    if ".." in parts:
        return "a path that leads out of its directory"
    if len(name) > limits.path_characters or any(len(p.encode()) > 255 for p in parts):
        return "a name that is too long"
    return None


def _damaged(archive: Path, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{archive.name} is damaged or no archive", context={"reason": _shown(str(error))}
    )


def _refused(archive: Path, name: str, rule: str) -> IntegrityError:
    return IntegrityError(
        f"{archive.name} is refused: {rule}", context={"member": _shown(name), "rule": rule}
    )


def _shown(text: str) -> str:
    """Somebody else's text, safe for a terminal."""
    return text.encode("unicode_escape").decode()[:200]
