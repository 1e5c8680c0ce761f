"""`get MODEL --from DIRECTORY`: only its own regular files, whatever else lies in it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.archives import CONTROL, REGULAR
from tests.attacks.archives import MODEL as FILES
from tests.attacks.conftest import MODEL
from tests.attacks.surroundings import changes, seen
from tests.unit.cli.program import Program

OUT = "a link that leads out of its directory"


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")


EVIL: dict[str, tuple[Callable[[Path], object], str]] = {
    "link-outside": (lambda p: p.symlink_to("/etc/passwd"), OUT),
    "link-outside-to-a-directory": (lambda p: p.symlink_to("../.."), OUT),
    "link-to-a-neighbour-of-like-name": (lambda p: p.symlink_to("../model-2/file"), OUT),
    "link-inside-to-a-directory": (lambda p: p.symlink_to("d"), "a link to a directory"),
    "link-to-itself": (lambda p: p.symlink_to(p.name), REGULAR),
    "link-to-nothing": (lambda p: p.symlink_to("nothing"), REGULAR),
    "fifo": (lambda p: os.mkfifo(p), REGULAR),
    "socket": (unix_socket, REGULAR),
    "device": (device, REGULAR),
}


def directory(surroundings: Path) -> Path:
    """A whole model, a directory beside its files, and a neighbour."""
    given = surroundings / "given" / "model"
    (given / "d").mkdir(parents=True)
    for name, body in FILES.items():
        (given / name).write_bytes(body)
    (surroundings / "given" / "model-2").mkdir()
    (surroundings / "given" / "model-2" / "file").write_text("another's")
    return given


@pytest.mark.parametrize("attack", EVIL)
@pytest.mark.parametrize("place", ["evil", "d/evil"])
def test_what_is_no_file_of_its_own_is_refused(
    attack: str, place: str, surroundings: Path, paddlesrv: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = directory(surroundings)
    if place.startswith("d/") and "inside" in attack:
        (given / "d" / "d").mkdir()
    make, rule = EVIL[attack]
    with monkeypatch.context() as here:
        here.chdir(given / Path(place).parent)  # a socket's path is short
        make(Path(Path(place).name))
    before = seen(surroundings)
    ended = paddlesrv("get", MODEL, "--from", str(given))
    if attack == "link-to-a-neighbour-of-like-name" and place.startswith("d/"):
        rule = REGULAR  # from there it leads to nothing inside
    assert ended.code == 5, ended.err
    assert rule in ended.err
    assert place in ended.err
    assert changes(before, seen(surroundings)) == set()


@pytest.mark.parametrize(
    ("name", "rule"), [("evil\x1b[2J", CONTROL), ("evil\udcff", CONTROL), ("a\\b", "a backslash")]
)
def test_names_are_judged_as_those_in_archives(
    name: str, rule: str, surroundings: Path, paddlesrv: Program
) -> None:
    given = directory(surroundings)
    (given / name).write_bytes(b"evil")
    ended = paddlesrv("get", MODEL, "--from", str(given))
    assert ended.code == 5
    assert rule in ended.err
    assert all(line.isprintable() for line in ended.err.splitlines())


@pytest.mark.parametrize("name", ["spec.json", "install.json"])
def test_names_kept_for_the_store_are_refused(
    name: str, surroundings: Path, paddlesrv: Program
) -> None:
    given = directory(surroundings)
    (given / name).write_text("{}")
    ended = paddlesrv("get", MODEL, "--from", str(given))
    assert ended.code == 5
    assert f"{name}, a name kept for the store" in ended.err


def test_a_link_that_stays_inside_is_copied_as_a_file(
    surroundings: Path, paddlesrv: Program
) -> None:
    given = directory(surroundings)
    (given / "again").symlink_to("inference.pdmodel")
    (given / "inference.pdmodel").chmod(0o4755)
    assert paddlesrv("get", MODEL, "--from", str(given)).code == 0
    installed = surroundings / "a" / "b" / "home" / "cache" / "models" / MODEL
    assert (installed / "again").read_bytes() == FILES["inference.pdmodel"]
    assert not (installed / "again").is_symlink()
    assert stat.S_IMODE((installed / "inference.pdmodel").stat().st_mode) == 0o644


def test_a_file_that_cannot_be_read_is_no_fault_of_the_store(
    surroundings: Path, paddlesrv: Program
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    given = directory(surroundings)
    (given / "inference.pdiparams").chmod(0)
    ended = paddlesrv("get", MODEL, "--from", str(given))
    assert ended.code == 4
    assert "cannot be read" in ended.err
