"""Detached signatures in the form of minisign, whose page describes it.

https://jedisct1.github.io/minisign/: a signature is four lines: a comment that nothing vouches
for, base64 of (algorithm, key id, Ed25519 signature), a trusted comment, and base64 of an Ed25519
signature of the first signature and that comment. Algorithm `Ed` signs the data, `ED` their
BLAKE2b-512 digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, UsageError

LEGACY, PREHASHED = b"Ed", b"ED"
FILE_BYTES_MAX = 64 << 10
_UNTRUSTED, _TRUSTED = b"untrusted comment: ", b"trusted comment: "


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 key, and the id by which signatures name it."""

    key_id: bytes
    key: bytes

    @property
    def name(self) -> str:
        """The id as minisign shows it: a number in hexadecimal, lowest byte first in the file."""
        return _name(self.key_id)


class Signature(msgspec.Struct, frozen=True):
    """A parsed `.minisig`; nothing in it is verified yet."""

    algorithm: bytes
    key_id: bytes
    signature: bytes
    trusted_comment: bytes
    global_signature: bytes


def read_public_key(text: str) -> PublicKey:
    """A public key: the base64 line itself, or the path of a file that ends with it.

    Raises:
        UsageError: it is neither.
    """
    key = _public_key(text.strip().encode())
    if key is not None:
        return key
    path = Path(text.strip()).expanduser()
    try:
        with path.open("rb") as file:
            lines = file.read(FILE_BYTES_MAX).split()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            "the public key is neither a minisign key nor a file with one",
            context={"found": text, "as a file": why},
            hints=["a key is the second line of minisign.pub, and begins with RW"],
        ) from error
    key = _public_key(lines[-1]) if lines else None
    if key is None:
        raise UsageError(
            f"{path} holds no minisign public key",
            hints=["make a pair: minisign -G -p minisign.pub -s minisign.key"],
        )
    return key


def parse_signature(data: bytes) -> Signature:
    """The parts of a `.minisig`.

    Raises:
        IntegrityError: it is none.
    """
    lines = [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
    if len(lines) != 4:
        raise _malformed(f"{len(lines)} lines instead of four")
    if not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise _malformed("its comments are not where they belong")
    first, second = _decoded(lines[1], 74), _decoded(lines[3], 64)
    if first is None or second is None:
        raise _malformed("its signatures are not base64 of the right length")
    if first[:2] not in (LEGACY, PREHASHED):
        raise _malformed(f"unknown algorithm {first[:2]!r}")
    return Signature(
        algorithm=first[:2],
        key_id=first[2:10],
        signature=first[10:],
        trusted_comment=lines[2].removeprefix(_TRUSTED),
        global_signature=second,
    )


def verify(data: bytes, signature: Signature, key: PublicKey) -> str:
    """Check both signatures; the trusted comment, fit to be shown.

    Raises:
        IntegrityError: another key signed, or the data or the comment is not what was signed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature.key_id != key.key_id:
        raise IntegrityError(
            "the signature is by another key",
            context={"expected": f"key {key.name}", "got": f"key {_name(signature.key_id)}"},
        )
    prehashed = signature.algorithm == PREHASHED
    signed = hashlib.blake2b(data).digest() if prehashed else data
    public = Ed25519PublicKey.from_public_bytes(key.key)
    try:
        public.verify(signature.signature, signed)
    except InvalidSignature as error:
        raise IntegrityError(
            "the signature does not fit", context={"expected": f"signed with key {key.name}"}
        ) from error
    try:
        public.verify(signature.global_signature, signature.signature + signature.trusted_comment)
    except InvalidSignature as error:
        raise IntegrityError(
            "the trusted comment of the signature is not what was signed",
            context={"expected": f"signed with key {key.name}"},
        ) from error
    comment = signature.trusted_comment.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in comment)


def _public_key(line: bytes) -> PublicKey | None:
    decoded = _decoded(line, 42)
    if decoded is None or decoded[:2] != LEGACY:
        return None
    return PublicKey(key_id=decoded[2:10], key=decoded[10:])


def _decoded(line: bytes, length: int) -> bytes | None:
    """The bytes of a base64 line; None for another length, or another way to write them."""
    try:
        decoded = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if len(decoded) == length and base64.b64encode(decoded) == line else None


def _name(key_id: bytes) -> str:
    return f"{int.from_bytes(key_id, 'little'):X}"


def _malformed(why: str) -> IntegrityError:
    return IntegrityError(f"the signature is no minisign signature: {why}")
