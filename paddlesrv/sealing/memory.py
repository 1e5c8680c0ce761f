"""Files that lie in memory alone, under names in a directory, for those who take nothing but paths.

Each is an anonymous memory file (memfd_create(2)); the directory holds links to /proc/self/fd, so
nothing of a content is on a disk, and no other process that follows a link finds it. What paddle,
OpenVINO and our own readers open by name is then read like any file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from paddlesrv.errors import PaddlesrvError

_DESCRIPTORS = "/proc/self/fd/"
_PR_SET_DUMPABLE = 4


class MemoryDirectory:
    """A directory of files in memory. A context manager; files that are open outlive it.

    It goes at the latest when the process ends. Of one that is killed, links to nothing are left.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="paddlesrv-sealed-"))
        self._descriptors: list[int] = []
        self.close = weakref.finalize(self, _drop, self.path, self._descriptors)
        """Let go of the files and their names."""

    def add(self, name: str, content: Iterable[bytes | memoryview]) -> None:
        """Put a file there; `name` may have directories in it, and none above.

        Raises:
            PaddlesrvError: there is not enough memory.
        """
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.memfd_create(place.name[:200], os.MFD_CLOEXEC)
        self._descriptors.append(descriptor)
        try:
            for piece in content:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise PaddlesrvError(
                f"a model cannot be decrypted into memory: {error.strerror or error}",
                context={"file": name},
                hints=["give it more memory, or serve fewer models beside it"],
            ) from None
        place.symlink_to(f"{_DESCRIPTORS}{descriptor}")

    def __enter__(self) -> MemoryDirectory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _drop(path: Path, descriptors: list[int]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    for descriptor in descriptors:
        os.close(descriptor)


def is_in_memory(path: Path) -> bool:
    """Whether a path is a file of a `MemoryDirectory`."""
    return path.is_symlink() and str(path.readlink()).startswith(_DESCRIPTORS)


def guard_process() -> None:
    """Keep this process's memory to itself: no core dump, and no look into it through /proc.

    Its user's other processes can then neither trace it nor open its files in memory; root can.
    Children that are forked inherit it, programs that are started do not.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise PaddlesrvError("this process cannot be kept from leaving core dumps")
