"""What an archive may grow to, and the words by which one is refused."""

from __future__ import annotations

from dataclasses import dataclass

from paddlesrv.errors import IntegrityError


@dataclass(frozen=True)
class Limits:
    """The bounds. The ratio counts only once the output passes its floor."""

    files: int = 20_000
    file_bytes: int = 32 << 30
    total_bytes: int = 64 << 30
    ratio: float = 200.0
    ratio_floor_bytes: int = 64 << 20
    path_characters: int = 1024
    depth: int = 32


class Bounds:
    """The count of one archive's members and bytes; raises as soon as a bound is passed.

    What members say of their size counts before any of it is read or written, so that a bomb
    costs nothing; what comes out of the archive counts as well, whatever was said.
    """

    def __init__(self, archive: str, archive_bytes: int, limits: Limits) -> None:
        self.archive = archive
        self.limits = limits
        self._allowed = max(limits.ratio_floor_bytes, limits.ratio * archive_bytes)
        self._members = 0
        self._said = 0
        self._came = 0

    def member(self, name: str, size: int) -> None:
        """Count one more member, which says that it is of this size."""
        self._members += 1
        self.members(self._members, name)
        if size > self.limits.file_bytes:
            raise refused(self.archive, f"larger than {self.limits.file_bytes} bytes", name)
        self._said += size
        self._check(self._said, name)

    def members(self, number: int, name: str | None = None) -> None:
        """Judge a number of members."""
        if number > self.limits.files:
            raise refused(self.archive, f"more than {self.limits.files} members", name)

    def came(self, size: int) -> None:
        """Count bytes that came out of the archive."""
        self._came += size
        self._check(self._came, None)

    def _check(self, total: int, name: str | None) -> None:
        if total > self.limits.total_bytes:
            rule = f"all together larger than {self.limits.total_bytes} bytes"
            raise refused(self.archive, rule, name)
        if total > self._allowed:
            rule = f"more than {self.limits.ratio:g} times the archive's own size"
            raise refused(self.archive, rule, name)


def refused(archive: str, rule: str, member: str | None = None) -> IntegrityError:
    """An archive that breaks a rule, with the member that does so."""
    context = {"rule": rule} if member is None else {"member": shown(member), "rule": rule}
    return IntegrityError(f"{archive} is refused: {rule}", context=context)


def damaged(archive: str, reason: str) -> IntegrityError:
    """An archive that is not whole, or not written as its format says."""
    return IntegrityError(f"{archive} is damaged or no archive", context={"reason": shown(reason)})


def shown(text: str) -> str:
    """Somebody else's text, safe for a terminal."""
    return text.encode("unicode_escape").decode()[:200]
