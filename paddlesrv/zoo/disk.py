"""What the operating system says of a disk, for a user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.errors import PaddlesrvError

if TYPE_CHECKING:
    from paddlesrv.zoo.store import Store


@contextmanager
def clean_disk_errors(place: Store | Path) -> Iterator[None]:
    """Turn a full or read-only disk into an error with words.

    Args:
        place: The store, or another directory, that is written.

    Raises:
        PaddlesrvError: there is no space, or no right to write.
    """
    try:
        yield
    except OSError as error:
        where = place if isinstance(place, Path) else place.root
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hints = ["remove unfinished downloads: paddlesrv cache prune --partial"]
            message = "there is not enough free space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hints = ["use another directory: export PADDLESRV_HOME=DIRECTORY"]
            message = "the store cannot be written"
            if isinstance(place, Path):
                hints, message = [], "the directory cannot be written"
        else:
            raise
        raise PaddlesrvError(message, context={"where": str(where)}, hints=hints) from error
