"""Taking files out of archives that nobody vouches for: tar (gzip, bzip2, xz), zip, wheel.

The readers of our own tell what is there; what is written, and where, is decided here. Only
regular files and directories exist for us, with modes of our own. The bounds hold for any archive,
since a digest proves where a file came from and not that it is harmless.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.bounds import Limits, refused
from paddlesrv.zoo.events import Member
from paddlesrv.zoo.members import read_members
from paddlesrv.zoo.pipeline import Hasher
from paddlesrv.zoo.tree import File, Tree

__all__ = ["Limits", "broken_rule", "extract"]

PART_BYTES_MAX = 255
"""What Linux file systems take for one name."""

_DRIVE = re.compile(r"[A-Za-z]:")


def extract(
    archive: Path,
    target: Path,
    *,
    members: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> dict[str, str]:
    """Write the files of an archive below `target`, a private directory.

    They are not on the disk yet when this returns; see `tree.make_durable`.

    Args:
        archive: The file; its kind is told by its first bytes, not by its name.
        target: Made if it is not there; nobody else may write there meanwhile. What is there is
            never replaced.
        members: Path in the archive -> path below target; both with a trailing "/" for a whole
            directory. None takes everything. What is not selected is neither judged nor written,
            as far as one can read past it.
        limits: Bounds on number and size.

    Returns:
        sha256 of the files written, by path relative to target, sorted.

    Raises:
        IntegrityError: a member that may not be, a bound, a damaged archive, or a selected
            member that is missing; names the member and the rule.
    """
    limits = limits or Limits()
    selection = _Selection(members)
    with (
        Tree(target) as tree,
        Hasher() as hasher,
        _Writer(archive.name, tree, hasher, limits) as writer,
        read_members(archive, selection.wants, limits) as events,
    ):
        for event in events:
            if isinstance(event, memoryview):
                writer.write(event)
            elif (place := selection.place_of(event.name)) is not None:
                writer.take(event, place)
        writer.finish()
    if missing := selection.missing():
        raise IntegrityError(
            f"{archive.name} does not hold {missing[0]}",
            context={"missing": ", ".join(missing)},
        )
    return dict(sorted(hasher.digests.items()))


class _Selection:
    """Which members are wanted, and where they go."""

    def __init__(self, members: Mapping[str, str] | None) -> None:
        self._files = {k: v for k, v in (members or {}).items() if not k.endswith("/")}
        self._directories = {k: v for k, v in (members or {}).items() if k.endswith("/")}
        self._everything = members is None
        self._found: set[str] = set()

    def wants(self, name: str) -> bool:
        """Whether the member's bytes are asked for."""
        return self.place_of(name) is not None

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
    """Judges members and writes those that pass."""

    def __init__(self, archive: str, tree: Tree, hasher: Hasher, limits: Limits) -> None:
        self._archive = archive
        self._tree = tree
        self._hasher = hasher
        self._limits = limits
        self._file: File | None = None
        self._path = PurePosixPath()
        self._kinds: dict[str, str] = {}
        self._spellings: dict[str, str] = {}

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def take(self, member: Member, place: str) -> None:
        """Begin a member at its place; its bytes follow."""
        self.finish()
        if member.refusal:
            raise self._refuse(member, member.refusal)
        path = self._judge(member, place)
        if path is None:
            return
        self._enter(member, path, "directory" if member.directory else "file")
        try:
            if member.directory:
                self._tree.make_directory(path.parts)
            else:
                self._file, self._path = self._tree.create(path.parts), path
        except (FileExistsError, NotADirectoryError) as error:
            # Of another archive that was unpacked here before.
            raise self._refuse(member, "its name is there already") from error

    def write(self, piece: memoryview) -> None:
        """Write and hash more of the file that came last."""
        if self._file is not None:
            self._hasher.update(piece)
            self._file.write(piece)

    def finish(self) -> None:
        """The file that came last is whole."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._hasher.finish(str(self._path))

    def _judge(self, member: Member, place: str) -> PurePosixPath | None:
        """The path that a member may be written to; None for the root itself."""
        for text in (member.name, place):
            if rule := broken_rule(text, self._limits):
                raise self._refuse(member, rule)
        parts = [part for part in place.split("/") if part not in ("", ".")]
        if not parts and member.directory:
            return None
        if not parts or not member.name:
            raise self._refuse(member, "no name")
        if not member.directory and member.name.endswith(("/", "/.")):
            raise self._refuse(member, "a file that is named as a directory")
        return PurePosixPath(*parts)

    def _enter(self, member: Member, path: PurePosixPath, kind: str) -> None:
        """Note the path and the directories above it; refuse what is there under any spelling."""
        steps = [*reversed(path.parents)][1:]
        for step, its_kind in [*((s, "directory") for s in steps), (path, kind)]:
            text = str(step)
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
            if self._spellings.setdefault(folded, text) != text:
                raise self._refuse(
                    member,
                    "its name differs only in case or in how letters are encoded from "
                    + ascii(self._spellings[folded]),
                )
            known = self._kinds.get(text)
            if known is not None and (its_kind == "file" or known == "file"):
                raise self._refuse(member, "its name is there twice")
            self._kinds[text] = its_kind

    def _refuse(self, member: Member, rule: str) -> IntegrityError:
        return refused(self._archive, rule, member.name)


def broken_rule(name: str, limits: Limits) -> str | None:
    """The rule that a path of somebody else's breaks, or None if it may be written."""
    if not name.isprintable():
        return "control characters or bytes that are no text in its name"
    if name.startswith("/"):
        return "an absolute path"
    if _DRIVE.match(name) or "\\" in name:
        return "a drive letter or a backslash in its name"
    parts = name.split("/")
    if ".." in parts:
        return "a path that leads out of its directory"
    if len(name) > limits.path_characters or any(len(p.encode()) > PART_BYTES_MAX for p in parts):
        return "a name that is too long"
    if len(parts) > limits.depth:
        return f"more than {limits.depth} directories deep"
    return None
