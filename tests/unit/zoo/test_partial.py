"""An unfinished file whose pieces several threads write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddlesrv.zoo.partial import Identity, Partial
from paddlesrv.zoo.progress import SilentObserver


def test_a_writer_that_is_closed_twice_closes_nobody_elses_file(tmp_path: Path) -> None:
    """An interrupted program closes the writer of a thread that may only just have begun."""
    partial = Partial(tmp_path / "file.part", SilentObserver())
    partial.restart(Identity(url="http://x/", etag='"1"', size=100))
    partial.begin_pieces(100, 10)
    writer = partial.writer()
    piece = partial.pieces.claim()
    writer.close()
    with (tmp_path / "other").open("wb") as other:  # takes the number that has become free
        writer.close()
        with pytest.raises(ValueError, match="closed"):
            writer.write(piece, piece.start, b"not for it")
        assert os.fstat(other.fileno()).st_size == 0
    partial.close()
