"""Keys of encrypted models: 256 random bits, written as text; made, read, and wiped.

A key comes from a file that only its owner can read, from the output of a command (a vault's), or
from the environment, out of which it is wiped: never from a command line, which everybody sees.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import os
import re
import secrets
import shlex
import stat
import subprocess
from pathlib import Path

from paddlesrv import own_python
from paddlesrv.errors import IntegrityError, PaddlesrvError, UsageError
from paddlesrv.own_python import KEY_VARIABLE

KEY_BYTES = 32
COMMAND_VARIABLE = "PADDLESRV_MODEL_KEY_COMMAND"
COMMAND_SECONDS = 60.0
"""For a command to answer: a vault may be on the other side of the world, a prompt is not there."""

_MAX_TEXT_BYTES = 4096
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_WANTED = "32 bytes in base64 or hexadecimal, as `openssl rand -base64 32` writes them"


def new_key() -> bytes:
    """A key that nobody has."""
    return secrets.token_bytes(KEY_BYTES)


def write_key_file(path: Path, key: bytes) -> None:
    """Write a key into a new file that only its owner can read.

    Raises:
        UsageError: a file is there already, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"the key file cannot be written: {error.strerror or error}",
            context={"file": str(path)},
            hints=["name another place: --key-file FILE"],
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path) -> bytes:
    """The key in a file.

    Members of the file's group may read it, as they must where Kubernetes mounts it.

    Raises:
        UsageError: it cannot be read, or everybody on the machine can read it.
        IntegrityError: it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_TEXT_BYTES)
    except OSError as error:
        raise UsageError(
            f"the key file cannot be read: {error.strerror or error}",
            context={"file": str(path)},
            hints=["it is the one that the model was encrypted with: --key-file FILE"],
        ) from None
    if stat.S_IMODE(mode) & 0o007:
        raise UsageError(
            f"everybody on this machine can read the key in {path}",
            context={"mode": f"{stat.S_IMODE(mode):04o}", "wanted": "0600"},
            hints=[f"let only yourself: chmod 600 {shlex.quote(str(path))}"],
        )
    return parse_key(data, str(path))


def key_from_command(command: str) -> bytes:
    """The key that a command prints; it runs without a shell.

    Raises:
        UsageError: there is no such command, it failed, or took too long.
        IntegrityError: what it prints is no key.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the key's command cannot be understood: {error}") from None
    if not words:
        raise UsageError("the key's command is empty")
    name = words[0]  # what follows it may itself be secret
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=own_python.without_secrets(),
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            f"the key's command cannot be run: {error.strerror or error}",
            context={"command": name},
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the key's command gave no key within {COMMAND_SECONDS:g} s",
            context={"command": name},
        ) from None
    if done.returncode:
        raise UsageError(
            f"the key's command ended with status {done.returncode}", context={"command": name}
        )
    return parse_key(done.stdout[:_MAX_TEXT_BYTES], f"the output of {name}")


def key_from_environment() -> bytes | None:
    """The key in the environment, or None; it is gone from there afterwards.

    Not only from what child processes get: also from what /proc/PID/environ shows of this one,
    which is the memory that the kernel put the variables into.

    Raises:
        IntegrityError: the variable holds no key.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is None:
        return None
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(KEY_VARIABLE.encode())
    if place:
        ctypes.memset(place, 0, len(os.fsencode(text)))
    del os.environ[KEY_VARIABLE]
    return parse_key(os.fsencode(text), KEY_VARIABLE)


def find_key(file: str | None, command: str | None) -> bytes | None:
    """The key from where somebody says it is: a file, a command, or else the environment.

    Raises:
        UsageError: the file cannot be read, the command fails.
        IntegrityError: what is there is no key.
    """
    given = key_from_environment()  # first: it must not stay there, needed or not
    if file is not None:
        return read_key_file(Path(file).expanduser())
    if command is not None:
        return key_from_command(command)
    if given is not None:
        return given
    set_command = os.environ.get(COMMAND_VARIABLE)
    return key_from_command(set_command) if set_command else None


def parse_key(text: bytes, origin: str) -> bytes:
    """The key that a text stands for. Errors name its origin and repeat nothing of it.

    Raises:
        IntegrityError: it is none.
    """
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    try:
        key = base64.b64decode(text.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise IntegrityError(f"{origin} holds no key", context={"wanted": _WANTED})
    return key


def no_key(name: str, path: Path) -> PaddlesrvError:
    """The error of an encrypted model that nobody gave a key to."""
    shown = shlex.quote(str(path))
    return UsageError(
        f"{name} is encrypted, and there is no key",
        context={"file": str(path)},
        hints=[
            f"name the file with its key: paddlesrv serve {shown} --key-file FILE",
            f"or a command that prints it: --key-command COMMAND; or set {KEY_VARIABLE}",
        ],
    )
