"""API keys and the file that they are in.

A key is 256 random bits in text, shown once, when it is made. The file holds SHA-256 digests of
keys, one key a line, so that whoever reads it cannot ask with it:

    alice sha256:9f86d081... rate=10 burst=20 concurrent=4
    ops   sha256:60303ae2... admin

No salt and no slow function: those protect what people think of, and a key that is drawn from
2^256 is found by trying neither quickly nor slowly. So keys are made here and never chosen.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, NotFound, UsageError

PREFIX = "psk_"
"""Every key begins so: scanners for secrets that slipped into a repository can find them."""

KEY_BYTES = 32

MAX_KEYS = 1000
"""In one file: each request is held against all of them."""

MAX_FILE_BYTES = 1 << 20

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_FORM = "NAME sha256:DIGEST [rate=] [burst=] [concurrent=] [admin]"
_HEAD = f"# API keys of paddlesrv, as digests: {_FORM}\n"


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One key as the file has it: all but the key itself.

    `rate` is in requests a second and `burst` in requests; `concurrent` is how many of its
    requests may be open at the same time. None: the server's own limit, or none. `admin` keys may
    load and unload models.
    """

    name: str
    digest: bytes
    rate: float | None = None
    burst: float | None = None
    concurrent: int | None = None
    admin: bool = False

    @property
    def line(self) -> str:
        """How it stands in the file."""
        words = [self.name, f"sha256:{self.digest.hex()}"]
        for field in ("rate", "burst", "concurrent"):
            value = getattr(self, field)
            if value is not None:
                words.append(f"{field}={value:.6f}".rstrip("0").rstrip("."))
        return " ".join([*words, *(["admin"] if self.admin else [])])


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: bytes) -> bytes:
    """What stands for a key in the file."""
    return hashlib.sha256(key).digest()


def read_keys(path: Path) -> tuple[KeyEntry, ...]:
    """The keys in a file, in its order.

    Raises:
        UsageError: it cannot be read, or everybody can write it.
        IntegrityError: it is no such file. No error repeats what a line holds: somebody may have
            written the keys themselves into it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"the file of API keys cannot be read: {error.strerror or error}",
            context={"file": str(path)},
            hints=[f"make a key: paddlesrv key new NAME --api-key-file {path}"],
        ) from None
    if status.st_mode & 0o002:
        raise UsageError(
            f"everybody on this machine can add keys to {path}",
            hints=[f"let only yourself: chmod 600 {path}"],
        )
    if len(data) > MAX_FILE_BYTES:
        raise IntegrityError(f"{path} is larger than a file of keys: {MAX_FILE_BYTES} bytes")
    return parse_keys(data, str(path))


def parse_keys(data: bytes, origin: str) -> tuple[KeyEntry, ...]:
    """The keys in the content of a file, which errors call `origin`.

    Raises:
        IntegrityError: as `read_keys`.
    """
    entries: dict[str, KeyEntry] = {}
    digests: set[bytes] = set()
    # Of what is no ASCII, nothing is a name, a digest or a limit.
    for number, line in enumerate(data.decode("ascii", errors="replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _entry(line.split(), f"{origin}:{number}")
        if entry.name in entries or entry.digest in digests:
            raise _bad(f"{origin}:{number}", "a name or a key that stands in the file already")
        entries[entry.name] = entry
        digests.add(entry.digest)
    if len(entries) > MAX_KEYS:
        raise IntegrityError(
            f"{origin} holds {len(entries)} keys", context={"wanted": f"at most {MAX_KEYS}"}
        )
    return tuple(entries.values())


def _entry(words: list[str], place: str) -> KeyEntry:
    if len(words) < 2 or not NAME.fullmatch(words[0]):
        raise _bad(place, "no name and digest")
    if not _DIGEST.fullmatch(words[1]):
        raise _bad(place, f"no digest behind the name {words[0]}")
    limits: dict[str, float | int | bool] = {}
    for word in words[2:]:
        field, equals, value = word.partition("=")
        if field in limits:
            raise _bad(place, f"{field} twice")
        if word == "admin":
            limits["admin"] = True
        elif equals and field in ("rate", "burst", "concurrent") and _NUMBER.fullmatch(value):
            limits[field] = int(value) if value.isdigit() else float(value)
        else:
            raise _bad(place, f"an unknown word behind the key {words[0]}")
    if limits.get("rate", 1) <= 0 or limits.get("burst", 1) < 1:
        raise _bad(place, "a rate of 0, or a burst below 1")
    if limits.get("concurrent", 1) < 1 or isinstance(limits.get("concurrent"), float):
        raise _bad(place, "a number of open requests that is none")
    digest = bytes.fromhex(words[1].removeprefix("sha256:"))
    return KeyEntry(name=words[0], digest=digest, **limits)  # type: ignore[arg-type]


def _bad(place: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"{place} is no API key",
        context={"found": found, "wanted": _FORM},
        hints=["make one: paddlesrv key new NAME --api-key-file FILE"],
    )


def add_key(path: Path, entry: KeyEntry) -> None:
    """Write one more key into a file, which is made if it is not there.

    Raises:
        UsageError: the file cannot be written, or has a key of that name.
        IntegrityError: as `read_keys`.
    """
    with _changing(path) as lines:
        lines.append(entry.line + "\n")


def remove_key(path: Path, name: str) -> None:
    """Take the key of that name out of a file.

    Raises:
        NotFound: there is none.
        UsageError, IntegrityError: as `read_keys`.
    """
    check_there(path, name)
    with _changing(path) as lines:
        lines[:] = [line for line in lines if line.split()[:1] != [name]]


def check_new(path: Path, name: str) -> None:
    """Whether a key of that name can be added to a file.

    Raises:
        UsageError: the name is none, or stands there already.
        IntegrityError: as `read_keys`.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a key",
            context={"wanted": "up to 64 letters, digits, dots, dashes and underscores"},
        )
    if path.exists() and name in {entry.name for entry in read_keys(path)}:
        raise UsageError(
            f"{path} has a key {name!r} already",
            hints=[
                f"take it out first: paddlesrv key rm {name} --api-key-file {path}",
                "or keep both for a while: give the new one another name",
            ],
        )


def check_there(path: Path, name: str) -> None:
    """Whether a file has a key of that name.

    Raises:
        NotFound: it has none.
        UsageError, IntegrityError: as `read_keys`.
    """
    if name not in {entry.name for entry in read_keys(path)}:
        raise NotFound(
            f"there is no key {name!r} in {path}",
            hints=[f"see those that are: paddlesrv key list --api-key-file {path}"],
        )


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[str]]:
    """The file's lines, to be changed; written all at once, while nobody else changes them."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        mode = 0o600
        lines = [_HEAD]
        if path.exists():
            read_keys(path)
            mode = path.stat().st_mode & 0o777
            lines = path.read_text("ascii", errors="replace").splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
        yield lines
        content = "".join(lines).encode("ascii", errors="replace")
        parse_keys(content, str(path))
        try:
            _replace(path, content, mode)
            os.fsync(directory)
        except OSError as error:
            raise _unwritable(path, error) from None
    finally:
        os.close(directory)


def _replace(path: Path, content: bytes, mode: int) -> None:
    target = path.resolve()  # a link stays one
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror or error}")
