"""An encrypted model on its way back: what the server's own process keeps of it, and what a worker.

The server's process reads all of the file once, so that it knows it to be whole, and keeps what
tasks need: labels, dictionaries, descriptions. A worker keeps its network while an engine loads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.container import Head, Member, read, read_head
from paddlesrv.sealing.keys import no_key
from paddlesrv.sealing.memory import MemoryDirectory, guard_process
from paddlesrv.sealing.packing import SPEC_FILE


class Unsealing(msgspec.Struct, frozen=True):
    """What a worker needs to open its network: the file, the model inside, and the key."""

    file: str
    model: str
    key: bytes

    def __repr__(self) -> str:
        return f"Unsealing({self.file!r}, {self.model!r})"


class SealedModel:
    """An encrypted model in the server's own process: locked at first, open once it has its key.

    Args:
        path: Its file.

    Raises:
        IntegrityError: the file is not an encrypted model.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: Head = read_head(path)
        self._key: bytes | None = None
        self._memory: MemoryDirectory | None = None
        self._specs: dict[str, ModelSpec] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models inside; without the key, only the first is known."""
        return tuple(self._specs) or (self.head.model,)

    def unlock(self, key: bytes) -> None:
        """Read all of it, and keep what tasks need.

        Raises:
            IntegrityError: the key is another one, or the file is damaged.
        """
        guard_process()
        memory = MemoryDirectory()
        try:
            head = _read_into(memory, self.path, key, lambda member: not member.network)
            if head != self.head:
                raise IntegrityError(
                    f"{self.path.name} was replaced while it was being read",
                    hints=["start again"],
                )
            specs = {}
            for place in memory.path.iterdir():
                data = (place / SPEC_FILE).read_bytes()
                specs[place.name] = msgspec.json.decode(data, type=ModelSpec)
        except (OSError, msgspec.MsgspecError) as error:
            memory.close()
            raise IntegrityError(
                f"what {self.path.name} holds is no model of this version of paddlesrv",
                context={"found": str(error), "file": str(self.path)},
                hints=["encrypt it again: paddlesrv encrypt MODEL --key-file FILE"],
            ) from None
        except BaseException:
            memory.close()
            raise
        self._key, self._memory, self._specs = key, memory, specs

    def open(self, name: str) -> tuple[ModelSpec, Path, Unsealing]:
        """A model inside: what it is, where its files but the network lie, and how to open that.

        Raises:
            UsageError: it was not unlocked.
            NotFound: there is no such model inside.
        """
        if self._memory is None or self._key is None:
            raise no_key(self.head.model, self.path)
        if name not in self._specs:
            raise NotFound(
                f"{self.path.name} holds no model {name}",
                context={"models in it": ", ".join(sorted(self._specs))},
            )
        opening = Unsealing(str(self.path), name, self._key)
        return self._specs[name], self._memory.path / name, opening

    def close(self) -> None:
        """Let go of what was kept."""
        if self._memory is not None:
            self._memory.close()
        self._key, self._memory = None, None


@contextmanager
def unsealed(opening: Unsealing) -> Iterator[Path]:
    """The directory of a model inside, in memory, for as long as an engine loads it.

    This process leaves no core dumps from here on.

    Raises:
        IntegrityError: the key is another one, or the file is damaged.
    """
    guard_process()
    inside = f"{opening.model}/"
    with MemoryDirectory() as memory:
        _read_into(
            memory,
            Path(opening.file),
            opening.key,
            lambda member: member.path.startswith(inside),
        )
        yield memory.path / opening.model


def _read_into(
    memory: MemoryDirectory, path: Path, key: bytes, wanted: Callable[[Member], bool]
) -> Head:
    head, members = read(path, key)
    for member, content in members:
        if wanted(member):
            memory.add(member.path, content)
        else:
            for _ in content:  # which checks it
                pass
    return head
