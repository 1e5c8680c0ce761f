"""Which servers of this user run: one record each, below the state directory, that cannot lie.

servers/NAME.json   what is known of a server; replaced whole, readable by its user alone
servers/NAME.lock   locked by the server while it lives: the name is taken

A record outlives a server that was killed; whether it lives is asked of the machine each time. In
the same boot and namespace, the process itself is looked for, and no other with its number is
taken for it; from elsewhere (a container, another machine on the same file system) the lock tells.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from paddlesrv.errors import Busy, NotFound, UsageError
from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.zoo.locks import is_locked

State = Literal["starting", "ready", "stopping"]
T = TypeVar("T")

NAME_MAX = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One server, as it wrote itself down.

    `models` are all that it holds, components of pipelines as well, and `asked` those that were
    named at its start; `directories` is the content that it reads, which must stay as long as it
    runs. `log` is None for a server that writes to its terminal. `grace_s` is how long requests may
    go on after SIGTERM. `reason` is why it ended, if it could still say so.
    """

    name: str
    process: ProcessIdentity
    started_at: datetime
    host: str
    port: int
    url: str
    models: tuple[str, ...]
    asked: tuple[str, ...] = ()
    directories: tuple[Path, ...]
    state: State = "starting"
    log: Path | None = None
    detached: bool = False
    command: str = ""
    grace_s: float = 30.0
    reason: str | None = None

    @property
    def pid(self) -> int:
        """The id of its process: of the gateway process, which starts the others."""
        return self.process.pid


class Recorded(msgspec.Struct, frozen=True):
    """A record, and whether its server lives."""

    record: ServerRecord
    alive: bool


def running(state_dir: Path, warn: Callable[[str], None] = lambda text: None) -> list[ServerRecord]:
    """The servers that live, by name.

    Args:
        state_dir: `Settings.state_dir`.
        warn: Told of each record that cannot be read; the others are still answered.
    """
    return [entry.record for entry in recorded(state_dir, warn) if entry.alive]


def directories_in_use(state_dir: Path) -> set[Path]:
    """The content that servers read which live, and so must stay where it is."""
    return {path for record in running(state_dir) for path in record.directories}


def recorded(state_dir: Path, warn: Callable[[str], None] = lambda text: None) -> list[Recorded]:
    """All servers that have a record, by name: those that live, and those that died.

    Args:
        state_dir: `Settings.state_dir`.
        warn: Told of each record that cannot be read; the others are still answered.
    """
    folder = servers_dir(state_dir)
    try:
        paths = [p for p in folder.iterdir() if p.suffix == ".json" and p.name[0] != "."]
    except FileNotFoundError:
        return []
    except OSError as error:
        warn(f"the records of servers cannot be read: {error.strerror}: {folder}")
        return []
    found = (_read(path, warn) for path in sorted(paths, key=lambda path: path.stem))
    return [Recorded(record, _lives(folder, record)) for record in found if record is not None]


def named(entries: Iterable[Recorded], name: str) -> Recorded:
    """The server of that name among these.

    Raises:
        NotFound: there is none; the error says which there are.
    """
    import difflib

    known = {entry.record.name: entry for entry in entries}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hints = [f"did you mean {close[0]}?"] if close else []
    raise NotFound(
        f"no server is called {name!r}",
        context={"there": ", ".join(known) or "none"},
        hints=[*hints, "see them: paddlesrv ps -a"],
    )


class Claim:
    """A server's name, taken: nobody else can start one of this name until it is let go."""

    def __init__(self, folder: Path, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        """The locked file; a process that inherits it holds the name as well."""
        self._folder = folder

    @classmethod
    def take(cls, state_dir: Path, name: str) -> Claim:
        """Take a name; what a dead server of that name left behind is removed.

        Raises:
            UsageError: it cannot be a server's name.
            Busy: a server of that name runs, or is being started.
            OSError: the state directory cannot be written.
        """
        checked_name(name)
        folder = private_directory(servers_dir(state_dir))
        descriptor = _locked(folder / f"{name}.lock")
        path = folder / f"{name}.json"
        # Where locks do nothing, the record still shows that the name is in use.
        old = _read(path, lambda text: None) if descriptor is not None else None
        if descriptor is None or (old is not None and old.process.alive):
            if descriptor is not None:
                os.close(descriptor)
            raise Busy(
                f"a server called {name!r} is running",
                hints=[
                    f"see it: paddlesrv ps; stop it: paddlesrv stop {name}",
                    "or give the new one another name: --name NAME",
                ],
            )
        path.unlink(missing_ok=True)
        return cls(folder, name, descriptor)

    @classmethod
    def take_free(cls, state_dir: Path, name: str) -> Claim:
        """Take the name, or the first free one of NAME-2, NAME-3 and so on.

        Raises:
            OSError: the state directory cannot be written.
        """
        for number in count(1):
            try:
                return cls.take(state_dir, name if number == 1 else f"{name}-{number}")
            except Busy:
                continue
        raise AssertionError("unreachable")

    @classmethod
    def inherited(cls, state_dir: Path, name: str, descriptor: int) -> Claim:
        """The claim that another process took and handed on."""
        return cls(servers_dir(state_dir), name, descriptor)

    def write(self, record: ServerRecord) -> None:
        """Put the server's record in the place of the one before.

        Raises:
            OSError: it cannot be written.
        """
        # Only the holder of the name writes, so that one name for what is unfinished is enough.
        unfinished = self._folder / f".{self.name}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(unfinished, "wb", opener=lambda p, _: os.open(p, flags, 0o600)) as file:
            # Not synced: after a crash of the machine no record is true, and a server that
            # answers requests must not wait for the disk.
            file.write(to_json(record))
        unfinished.replace(self._folder / f"{self.name}.json")

    def release(self, *, keep_record: bool = False) -> None:
        """Let go of the name, and remove the record unless it is to tell of a failure."""
        names = [f"{self.name}.lock", f".{self.name}.tmp"]
        if not keep_record:
            names.insert(0, f"{self.name}.json")
        if _is_open_on(self.descriptor, self._folder / f"{self.name}.lock"):
            for name in names:
                # Removed while still locked: see `_locked` for who comes in between.
                (self._folder / name).unlink(missing_ok=True)
        self.hand_over()

    def hand_over(self) -> None:
        """Close our hold; the name stays taken by the process that inherited it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def checked_name(name: str) -> str:
    """The name, if a server can be called so.

    Raises:
        UsageError: it cannot.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is no name for a server",
            context={"wanted": f"letters, digits, '.', '_', '-'; at most {NAME_MAX}"},
            hints=["for example: --name ocr"],
        )
    return name


def name_for(models: Iterable[str]) -> str:
    """A server's name made of those of its models."""
    joined = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(models)).strip("-._")
    return joined[:40].rstrip("-._") or "server"


def servers_dir(state_dir: Path) -> Path:
    """Where the records lie."""
    return state_dir.absolute() / "servers"


def private_directory(path: Path) -> Path:
    """The directory, made if need be, that nobody but this user can look into.

    Raises:
        OSError: it cannot be made, or is another user's.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = path.lstat()
    if status.st_uid != os.geteuid():
        raise PermissionError(1, "it belongs to another user", str(path))
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def to_json(value: Any) -> bytes:
    """A record (or what else holds paths) as JSON."""
    return msgspec.json.encode(value, enc_hook=str)


def from_json(data: bytes, kind: type[T]) -> T:
    """What `to_json` wrote.

    Raises:
        msgspec.MsgspecError: it is none, or of another kind.
    """
    return msgspec.json.decode(data, type=kind, dec_hook=lambda wanted, text: wanted(text))


def _read(path: Path, warn: Callable[[str], None]) -> ServerRecord | None:
    try:
        record = from_json(path.read_bytes(), ServerRecord)
    except FileNotFoundError:
        return None  # it ended while we were reading
    except OSError as error:
        warn(f"the record of a server cannot be read: {error.strerror}: {path}")
        return None
    except msgspec.MsgspecError as error:
        warn(f"the record of a server is damaged and can be removed: {error}: {path}")
        return None
    if record.name != path.stem:
        warn(f"the record of a server is not what its name says ({record.name!r}): {path}")
        return None
    return record


def _lives(folder: Path, record: ServerRecord) -> bool:
    if record.process.here:
        return record.process.alive
    return is_locked(folder / f"{record.name}.lock")


def _locked(path: Path) -> int | None:
    """The lock file, open and locked; None if another process holds it."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            return descriptor  # a file system without locks; see `Claim.take`
        if _is_open_on(descriptor, path):
            return descriptor
        os.close(descriptor)  # its holder removed it between our two calls


def _is_open_on(descriptor: int, path: Path) -> bool:
    """Whether a file has this path still; another one may have taken its place."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
