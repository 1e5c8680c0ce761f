"""What kind of archive a file is, and its members with the reader for that kind.

The kind is told by the first bytes alone, never by the name. Nothing is judged or written here;
memory stays flat whatever the archive claims.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.bounds import Bounds, Limits
from paddlesrv.zoo.events import Event
from paddlesrv.zoo.inflate import blocks, kind_of
from paddlesrv.zoo.pipeline import ahead
from paddlesrv.zoo.tar_reader import BLOCK_BYTES, Stream, is_header, read_tar
from paddlesrv.zoo.zip_reader import read_zip


def is_archive(path: Path) -> bool:
    """Whether the first bytes are those of an archive that `extract` reads."""
    with path.open("rb") as file:
        head = file.read(BLOCK_BYTES)
    return _is_zip(head) or kind_of(head) is not None or is_header(head)


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


@contextmanager
def read_members(
    archive: Path, wanted: Callable[[str], bool], limits: Limits
) -> Generator[Iterator[Event]]:
    """Every member in the archive's order, each followed by its bytes if it is a wanted file.

    Raises:
        IntegrityError: it is no archive, is damaged, or passes a bound; while it is read, too.
    """
    with archive.open("rb", buffering=0) as raw:
        bounds = Bounds(archive.name, archive.stat().st_size, limits)
        head = raw.read(BLOCK_BYTES)
        raw.seek(0)
        if _is_zip(head):
            yield read_zip(raw.fileno(), bounds, wanted)
        elif (kind := kind_of(head)) is not None or is_header(head):
            with ahead(blocks(raw, kind, archive.name)) as plain:
                yield read_tar(Stream(plain, bounds), bounds, wanted)
        else:
            raise IntegrityError(
                f"{archive.name} is no archive",
                context={"expected": "tar, tar.gz, tar.bz2, tar.xz, zip or whl"},
            )
