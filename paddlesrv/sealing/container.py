"""The format of an encrypted model: a readable head, and AES-256-GCM in chunks behind it.

    8 bytes   "PSRVSEA1"
    4 bytes   length of the head, big-endian
    head      JSON (`Head`): the model's name and version, a random salt, a check of the key
    chunks    each 1 MiB of plaintext encrypted, and its tag of 16 bytes; the last one is shorter

This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as in Tink's streaming
AES-GCM-HKDF: the key of the chunks is derived from the user's and the salt with HKDF-SHA256, so
that no two files share one; a chunk's nonce is its number and whether it is the last; its
associated data is the SHA-256 of all that stands before the chunks. So nothing can be changed, left
out, moved, cut off or taken from another file without being found out, head included.

The plaintext is an index (4 bytes of length, then JSON) and the files, one after the other.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

import msgspec

from paddlesrv.errors import IntegrityError
from paddlesrv.models.spec import Format

MAGIC = b"PSRVSEA1"
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16

_LENGTH = struct.Struct("!I")
_NONCE = struct.Struct("!7xIB")
_SALT_BYTES = 32
_CHECK_BYTES = 8
_MAX_HEAD_BYTES = 1 << 16
_MAX_INDEX_BYTES = 1 << 24
_MAX_CHUNKS = 1 << 32
_PURPOSE = b"paddlesrv sealed model 1"


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What everybody may read of an encrypted model, and nobody can change.

    `key_check` tells another key from a damaged file; it says nothing of the key.
    """

    cipher: Literal["AES-256-GCM-STREAM"] = "AES-256-GCM-STREAM"
    model: str
    version: str
    task: str
    format: Format
    salt: bytes
    key_check: bytes


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file inside. `network` tells those that only an engine needs."""

    path: str
    size: int
    network: bool = False


class _Keys(msgspec.Struct, frozen=True):
    chunks: bytes
    check: bytes

    def __repr__(self) -> str:
        return "_Keys(...)"


def write(
    out: BinaryIO,
    key: bytes,
    *,
    model: str,
    version: str,
    task: str,
    format: Format,
    members: Sequence[tuple[Member, Iterable[bytes]]],
) -> None:
    """Write an encrypted model.

    Args:
        out: Where to; written from its position on.
        key: 32 bytes.
        model: Its name.
        version: What tells this content from another one of that name.
        task: Its task, and
        format: the format of its network: for those who have no key yet.
        members: The files, and their content in pieces of any length.

    Raises:
        IntegrityError: a content is not as long as its member says: it changes while it is read.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    keys = _derive(key, salt)
    head = Head(
        model=model, version=version, task=task, format=format, salt=salt, key_check=keys.check
    )
    body = msgspec.json.encode(head)
    start = MAGIC + _LENGTH.pack(len(body)) + body
    out.write(start)
    cipher, bound = _cipher(keys), hashlib.sha256(start).digest()
    for number, last, chunk in _cut(_plain(members)):
        out.write(cipher.encrypt(_NONCE.pack(number, last), bytes(chunk), bound))


def read_head(path: Path) -> Head:
    """What an encrypted model says of itself; nobody has vouched for it before it is read whole.

    Raises:
        IntegrityError: the file is not an encrypted model.
    """
    with _open(path) as file:
        return _head(file, path)[0]


def read(path: Path, key: bytes) -> tuple[Head, Iterator[tuple[Member, Iterator[memoryview]]]]:
    """Decrypt an encrypted model.

    Every byte is checked before it is handed out, and all of the file has been once the iterator
    has ended: what came of it must not be used before. A member's content must be read before the
    next one is asked for.

    Returns:
        The head, and the members with their content in pieces.

    Raises:
        IntegrityError: also from the iterators: the key is another one, or the file is damaged,
            shortened, or none of ours.
    """
    file = _open(path)
    try:
        head, start = _head(file, path)
        keys = _derive(key, head.salt)
        if not hmac.compare_digest(keys.check, head.key_check):
            raise IntegrityError(
                f"{path.name} was encrypted with another key, or is damaged",
                context={"file": str(path), "model": head.model},
                hints=["name the key that it was encrypted with: --key-file FILE"],
            )
    except BaseException:
        file.close()
        raise
    return head, _members(_Plaintext(file, path, keys, start))


class _Plaintext:
    """What a file decrypts to, in order."""

    def __init__(self, file: BinaryIO, path: Path, keys: _Keys, start: bytes) -> None:
        self._file = file
        self._path = path
        self._cipher = _cipher(keys)
        self._bound = hashlib.sha256(start).digest()
        body = os.fstat(file.fileno()).st_size - len(start)
        self._count = -(-body // (CHUNK_BYTES + TAG_BYTES))
        self._number = 0
        self._chunk = memoryview(b"")
        if not 0 < self._count < _MAX_CHUNKS:
            raise self.damaged()

    def take(self, length: int) -> Iterator[memoryview]:
        """The next bytes, in pieces."""
        while length:
            if not self._chunk:
                self._next()
            piece = self._chunk[:length]
            self._chunk = self._chunk[length:]
            length -= len(piece)
            yield piece

    def end(self) -> None:
        """Make sure that nothing is left."""
        self._file.close()
        if self._chunk or self._number != self._count:
            raise self.damaged()

    def _next(self) -> None:
        from cryptography.exceptions import InvalidTag

        if self._number == self._count:
            raise self.damaged()
        data = self._file.read(CHUNK_BYTES + TAG_BYTES)
        nonce = _NONCE.pack(self._number, self._number == self._count - 1)
        try:
            self._chunk = memoryview(self._cipher.decrypt(nonce, data, self._bound))
        except InvalidTag:
            raise self.damaged() from None
        if not self._chunk:
            raise self.damaged()
        self._number += 1

    def damaged(self) -> IntegrityError:
        """The error of a file that is not what was written."""
        self._file.close()
        return IntegrityError(
            f"{self._path.name} is damaged, or was tampered with",
            context={"file": str(self._path), "where": f"chunk {self._number} of {self._count}"},
            hints=["copy it again from where it was encrypted"],
        )


def _members(plain: _Plaintext) -> Iterator[tuple[Member, Iterator[memoryview]]]:
    (length,) = _LENGTH.unpack(b"".join(plain.take(_LENGTH.size)))
    if length > _MAX_INDEX_BYTES:
        raise plain.damaged()
    try:
        members = msgspec.json.decode(b"".join(plain.take(length)), type=list[Member])
    except msgspec.MsgspecError:
        raise plain.damaged() from None
    for member in members:
        if not is_inside(member.path) or member.size < 0:
            raise plain.damaged()
        yield member, plain.take(member.size)
    plain.end()


def is_inside(path: str) -> bool:
    """Whether a member's path stays where it is put."""
    parts = PurePosixPath(path).parts
    plain = bool(parts) and "\0" not in path and "\\" not in path
    return plain and not path.startswith("/") and ".." not in parts


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise IntegrityError(
            f"{path} cannot be read: {error.strerror or error}", context={"file": str(path)}
        ) from None


def _head(file: BinaryIO, path: Path) -> tuple[Head, bytes]:
    """The head, and all the bytes up to its end."""
    start = file.read(len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + _LENGTH.size:
        raise IntegrityError(
            f"{path} is not an encrypted model, or its beginning is damaged",
            context={"wanted": "a file that `paddlesrv encrypt` wrote"},
            hints=[
                "a model that is not encrypted is named by its directory: paddlesrv serve DIR",
                "to have its files taken into the store: paddlesrv import FILE",
            ],
        )
    (length,) = _LENGTH.unpack(start[len(MAGIC) :])
    if length <= _MAX_HEAD_BYTES:
        body = file.read(length)
        try:
            return msgspec.json.decode(body, type=Head), start + body
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    raise IntegrityError(
        f"the head of {path.name} is damaged, or was tampered with", context={"file": str(path)}
    )


def _derive(key: bytes, salt: bytes) -> _Keys:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), len(key) + _CHECK_BYTES, salt, _PURPOSE).derive(key)
    return _Keys(derived[: len(key)], derived[len(key) :])


def _cipher(keys: _Keys):  # type: ignore[no-untyped-def]  # noqa: ANN202 - imported when needed
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(keys.chunks)


def _plain(members: Sequence[tuple[Member, Iterable[bytes]]]) -> Iterator[bytes]:
    index = msgspec.json.encode([member for member, _ in members])
    yield _LENGTH.pack(len(index))
    yield index
    for member, content in members:
        size = 0
        for piece in content:
            size += len(piece)
            yield piece
        if size != member.size:
            raise IntegrityError(
                f"{member.path} changes while it is being encrypted",
                context={"found": f"{size} bytes", "wanted": f"{member.size} bytes"},
                hints=["do it again when nobody writes there"],
            )


def _cut(pieces: Iterable[bytes]) -> Iterator[tuple[int, bool, bytearray]]:
    """Chunks with their numbers, and whether each is the last."""
    number, waiting = 0, bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) > CHUNK_BYTES:  # not >=: the last chunk is never empty
            yield number, False, waiting[:CHUNK_BYTES]
            del waiting[:CHUNK_BYTES]
            number += 1
    yield number, True, waiting
