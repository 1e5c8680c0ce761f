"""Undoing an encoding that a server put on a file although it was asked for the file as it is.

Two kinds of servers do so. One compresses on the way; the file is what comes out of it. The other
says of a file that is compressed (`model.tar.gz`) that it was encoded on the way, which it was
not; the file is what was sent. Which it is, the digest tells; see `download`.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.partial import CHUNK_BYTES, Partial

GZIP = frozenset({"gzip", "x-gzip"})
RATIO_MAX = 200
FLOOR_BYTES = 256 << 20


def decode_gzip(partial: Partial, size: int | None) -> None:
    """Put what the gzip stream holds in the stream's place.

    Args:
        partial: A whole download.
        size: Bytes that must come out, if known.

    Raises:
        IntegrityError: it is no gzip stream, or it grows beyond all measure; the bytes are gone.
        OSError: the disk is full, or broken.
    """
    scratch = partial.path.with_name(partial.path.name + ".encoded")
    limit = size if size is not None else max(FLOOR_BYTES, RATIO_MAX * partial.size)
    try:
        shutil.copyfile(partial.path, scratch)
        # Without an identity until it is whole: half of it, after a crash, is nothing to go on.
        partial.restart()
        _decode(scratch, partial, limit)
    except (zlib.error, EOFError) as error:
        partial.restart()
        raise IntegrityError(f"what was sent as gzip is damaged: {error}") from error
    finally:
        scratch.unlink(missing_ok=True)


def _decode(scratch: Path, partial: Partial, limit: int) -> None:
    # wbits 31: a gzip header and trailer (zlib's manual, inflateInit2).
    stream = zlib.decompressobj(31)
    with scratch.open("rb") as file:
        while not stream.eof:
            block = stream.unconsumed_tail or file.read(CHUNK_BYTES)
            if not block:
                raise EOFError("it ends early")
            plain = stream.decompress(block, CHUNK_BYTES)
            if partial.size + len(plain) > limit:
                partial.restart()
                raise IntegrityError(
                    "what was sent as gzip grows too large", context={"limit": f"{limit} bytes"}
                )
            partial.append(plain)
