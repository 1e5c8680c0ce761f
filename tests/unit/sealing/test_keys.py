"""Where keys come from, and that they stay out of sight."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError, PaddlesrvError, UsageError
from paddlesrv.sealing import keys

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(KEY),
        base64.urlsafe_b64encode(bytes(range(224, 256))),
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        b"  " + base64.b64encode(KEY) + b"\r\n",
    ],
)
def test_keys_as_tools_write_them(text: bytes) -> None:
    assert len(keys.parse_key(text, "here")) == 32


@pytest.mark.parametrize(
    "text",
    [b"", b"secret words", base64.b64encode(KEY[:16]), b"\xff" * 44, KEY.hex().encode()[:-1]],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: bytes) -> None:
    with pytest.raises(IntegrityError) as raised:
        keys.parse_key(text, "FILE")
    said = f"{raised.value.message} {raised.value.context} {raised.value.hints}"
    assert "FILE holds no key" in said
    assert not text or text.decode("latin1") not in said


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys.write_key_file(path, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.read_key_file(path) == KEY
    with pytest.raises(UsageError, match="cannot be written"):
        keys.write_key_file(path, KEY)
    assert keys.read_key_file(path) == KEY


@pytest.mark.parametrize(("mode", "taken"), [(0o600, True), (0o440, True), (0o644, False)])
def test_a_file_that_everybody_can_read_is_refused(mode: int, taken: bool, tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys.write_key_file(path, KEY)
    path.chmod(mode)
    if taken:
        assert keys.read_key_file(path) == KEY
        return
    with pytest.raises(UsageError, match="everybody on this machine") as raised:
        keys.read_key_file(path)
    assert raised.value.hints == (f"let only yourself: chmod 600 {path}",)


def test_a_command_gives_a_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys.write_key_file(path, KEY)
    assert keys.key_from_command(f"cat {path}") == KEY


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "empty"),
        ("'unclosed", "cannot be understood"),
        ("/no/such/command --token hidden", "cannot be run"),
        ("false --token hidden", "ended with status 1"),
        ("echo hidden", "holds no key"),
    ],
)
def test_a_command_that_fails_is_told_without_its_words(command: str, says: str) -> None:
    with pytest.raises(PaddlesrvError, match=says) as raised:
        keys.key_from_command(command)
    assert "hidden" not in f"{raised.value.message} {raised.value.context} {raised.value.hints}"


def test_the_environments_key_is_wiped_out_of_the_process() -> None:
    code = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from paddlesrv.sealing.keys import key_from_environment\n"
        "before = Path('/proc/self/environ').read_bytes()\n"
        "key = key_from_environment()\n"
        "after = Path('/proc/self/environ').read_bytes()\n"
        "child = subprocess.run(['env'], capture_output=True).stdout\n"
        "text = os.fsencode(sys.argv[1][::-1])\n"
        "print(text in before, text in after, text in child, key.hex())\n"
        "print('OTHER=stays' in after.decode(), key_from_environment())\n"
    )
    text = base64.b64encode(KEY).decode()
    ended = subprocess.run(
        [sys.executable, "-c", code, text[::-1]],
        env=os.environ | {"PADDLESRV_MODEL_KEY": text, "OTHER": "stays"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == ["True", "False", "False", KEY.hex(), "True", "None"]
