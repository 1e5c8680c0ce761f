"""Signatures in minisign's form: what the real tool makes is taken, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.zoo.minisign import (
    LEGACY,
    PREHASHED,
    PublicKey,
    parse_signature,
    read_public_key,
    verify,
)

KEY_ID = bytes(range(8))
DATA = b"schema: 1\nmodels: []\n"


class Signer:
    """A key pair, signing as minisign does."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64.b64encode(b"Ed" + KEY_ID + public).decode()

    def sign(
        self, data: bytes, algorithm: bytes = PREHASHED, comment: bytes = b"edition 2"
    ) -> bytes:
        signed = hashlib.blake2b(data).digest() if algorithm == PREHASHED else data
        signature = self._private.sign(signed)
        first = base64.b64encode(algorithm + KEY_ID + signature)
        second = base64.b64encode(self._private.sign(signature + comment))
        return b"\n".join(
            [b"untrusted comment: x", first, b"trusted comment: " + comment, second, b""]
        )


SIGNER = Signer()
KEY = read_public_key(SIGNER.public)


@pytest.mark.parametrize("algorithm", [LEGACY, PREHASHED])
def test_a_good_signature_gives_its_trusted_comment(algorithm: bytes) -> None:
    signed = SIGNER.sign(DATA, algorithm, "édition\x1b 2".encode())
    assert verify(DATA, parse_signature(signed), KEY) == "édition  2"
    assert verify(DATA, parse_signature(signed.replace(b"\n", b"\r\n")), KEY) == "édition  2"


@given(st.data())
def test_any_changed_byte_of_the_data_is_refused(data: st.DataObject) -> None:
    algorithm = data.draw(st.sampled_from([LEGACY, PREHASHED]))
    changed = bytearray(DATA)
    changed[data.draw(st.integers(0, len(DATA) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(IntegrityError):
        verify(bytes(changed), parse_signature(SIGNER.sign(DATA, algorithm)), KEY)


@pytest.mark.parametrize("algorithm", [LEGACY, PREHASHED])
def test_any_changed_byte_of_the_signature_is_refused(algorithm: bytes) -> None:
    """Every byte in turn but those of the comment that nothing vouches for, and line ends."""
    signed = SIGNER.sign(DATA, algorithm)
    free = signed.index(b"\n")
    for place in range(free + 1, len(signed) - 1):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(signed)
            changed[place] ^= flip
            with pytest.raises(IntegrityError):
                verify(DATA, parse_signature(bytes(changed)), KEY)


@pytest.mark.parametrize("length", range(0, 238, 7))
def test_a_cut_signature_is_refused(length: int) -> None:
    with pytest.raises(IntegrityError):
        parse_signature(SIGNER.sign(DATA)[:length])


@given(st.binary(max_size=400))
def test_any_bytes_are_no_signature(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_signature(data)


def test_a_signature_by_another_key_is_refused_by_name() -> None:
    other = read_public_key(Signer().public)
    with pytest.raises(IntegrityError, match="does not fit"):
        verify(DATA, parse_signature(SIGNER.sign(DATA)), other)
    renamed = base64.b64encode(b"Ed" + b"otherkey" + KEY.key).decode()
    with pytest.raises(IntegrityError, match="by another key"):
        verify(DATA, parse_signature(SIGNER.sign(DATA)), read_public_key(renamed))


def test_an_algorithm_cannot_be_exchanged_for_the_other() -> None:
    """The two letters are signed by nobody: only what they stand for protects."""
    lines = SIGNER.sign(DATA, PREHASHED).split(b"\n")
    raw = base64.b64decode(lines[1])
    lines[1] = base64.b64encode(LEGACY + raw[2:])
    with pytest.raises(IntegrityError, match="does not fit"):
        verify(DATA, parse_signature(b"\n".join(lines)), KEY)


def test_a_key_is_read_as_a_word_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "minisign.pub"
    file.write_text(f"untrusted comment: minisign public key\n{SIGNER.public}\n")
    assert read_public_key(str(file)) == read_public_key(f" {SIGNER.public}\n") == KEY
    file.write_text("")
    for wrong in (str(file), str(tmp_path / "none"), "RWQ", "", "\0"):
        with pytest.raises(UsageError):
            read_public_key(wrong)


minisign = shutil.which("minisign")


def test_a_key_is_named_as_minisign_names_it_without_leading_zeros() -> None:
    key = PublicKey(bytes.fromhex("19ea119b9a83c101"), bytes(32))
    assert key.name == "1C1839A9B11EA19"


@pytest.mark.skipif(minisign is None, reason="the program minisign is not installed")
@pytest.mark.parametrize("flags", [[], ["-l"]], ids=["prehashed", "legacy"])
def test_the_real_tools_signature_is_taken(flags: list[str], tmp_path: Path) -> None:
    assert minisign is not None
    public, secret, file = tmp_path / "k.pub", tmp_path / "k.key", tmp_path / "data"
    file.write_bytes(DATA)
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "stdin": subprocess.DEVNULL}
    subprocess.run([minisign, "-G", "-W", "-p", public, "-s", secret], **run)
    subprocess.run([minisign, "-S", *flags, "-s", secret, "-m", file, "-t", "edition 3"], **run)
    key = read_public_key(str(public))
    assert f"key {key.name}\n" in public.read_text()
    signature = parse_signature((tmp_path / "data.minisig").read_bytes())
    assert signature.algorithm == (LEGACY if flags else PREHASHED)
    assert verify(DATA, signature, key) == "edition 3"
    with pytest.raises(IntegrityError):
        verify(DATA + b" ", signature, key)


@pytest.mark.skipif(minisign is None, reason="the program minisign is not installed")
@pytest.mark.parametrize("algorithm", [LEGACY, PREHASHED])
def test_what_these_tests_sign_is_what_the_real_tool_takes(
    algorithm: bytes, tmp_path: Path
) -> None:
    assert minisign is not None
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "data.minisig").write_bytes(SIGNER.sign(DATA, algorithm))
    command = [minisign, "-V", "-P", SIGNER.public, "-m", "data"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
