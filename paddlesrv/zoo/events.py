"""What readers of archives tell: members, and the bytes of those that are wanted."""

from __future__ import annotations

from typing import NamedTuple

NOT_REGULAR = "neither a regular file nor a directory"


class Member(NamedTuple):
    """One entry: its name as written, its size, whether a directory, why it is refused."""

    name: str
    size: int = 0
    directory: bool = False
    refusal: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether its bytes can be wanted."""
        return not self.directory and self.refusal is None


Event = Member | memoryview
"""A member; or a piece of the file that came last, all of them together as long as it said."""
