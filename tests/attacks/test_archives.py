"""`get MODEL --from ARCHIVE`: what attacks is refused, said plainly, and leaves nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.archives import (
    IN_TAR,
    Attack,
    attacks,
    evil_tar,
    evil_zip,
    long_named,
    pax_named,
)
from tests.attacks.conftest import MODEL
from tests.attacks.surroundings import changes, seen
from tests.attacks.writers import Zipped, member, pax, record, tar
from tests.unit.cli.program import Program

ATTACKS = list(attacks())


def test_every_attack_has_a_name_of_its_own() -> None:
    assert len({str(attack) for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_refused_by_name_and_rule_and_leaves_nothing(
    attack: Attack, surroundings: Path, paddlesrv: Program
) -> None:
    evil = surroundings / "given" / f"evil.{attack.form}"
    evil.write_bytes(attack.build())
    before = seen(surroundings)
    ended = paddlesrv("get", MODEL, "--from", str(evil))
    assert ended.code == 5, ended.err
    assert attack.rule in ended.err
    assert attack.member in ended.err
    assert evil.name in ended.err
    assert "Traceback" not in ended.err
    assert all(line.isprintable() for line in ended.err.splitlines())
    assert ended.out == ""
    assert changes(before, seen(surroundings)) == set()


GOOD: dict[str, Callable[[], bytes]] = {
    "model.tar": evil_tar,
    "model.tar.gz": lambda: gzip.compress(evil_tar()),
    "model.tar.bz2": lambda: bz2.compress(evil_tar()),
    "model.tar.xz": lambda: lzma.compress(evil_tar()),
    "model.zip": evil_zip,
    "a-zip-called.tar": evil_zip,
    "a-tar.gz-called.zip": lambda: gzip.compress(evil_tar()),
    "a-tar-called.tar.gz": evil_tar,
    "anything": evil_tar,
    "parts.tar.gz": lambda: gzip.compress(evil_tar()[:700]) + gzip.compress(evil_tar()[700:]),
    "padded.tar": lambda: evil_tar() + b"\0" * 9000,
    "padded.tar.gz": lambda: gzip.compress(evil_tar()) + b"\0" * 9000,
    "one-block-at-its-end.tar": lambda: IN_TAR + b"\0" * 512,
    "long-name.tar": lambda: evil_tar(long_named("d/" + "long" * 50)),
    "pax-name.tar": lambda: evil_tar(pax_named("d/" + "l\u00f6ng" * 50)),
    "pax-size.tar": lambda: evil_tar(pax(record("size", "4")), member("a", b"evil")),
    "pax-comment.tar": lambda: tar(pax(record("comment", "of git"), kind=b"g"), IN_TAR),
    "prefix.tar": lambda: evil_tar(member("file", b"x", prefix=b"some/directory")),
    "directories.tar": lambda: evil_tar(member("d/", kind=b"5"), member("d/e", kind=b"5")),
    "twice-a-directory.tar": lambda: evil_tar(*[member("d", kind=b"5")] * 2, member("d/a")),
    "dot.tar": lambda: evil_tar(member("./", kind=b"5"), member("./a", b"x")),
    "empty-file.tar": lambda: evil_tar(member("empty")),
    "directories.zip": lambda: evil_zip(Zipped("d/", mode=0o040755), Zipped("d/a", b"x")),
    "stored.zip": lambda: evil_zip(Zipped("a", b"x", deflate=False)),
    "empty-file.zip": lambda: evil_zip(Zipped("empty")),
    "sizes-after.zip": lambda: evil_zip(
        Zipped("a", b"x", flags=0x808, local={"crc": 0, "size": 0, "packed": 0})
    ),
    "zip-in-tar.tar": lambda: evil_tar(member("inner.zip", evil_zip())),
    "tar-in-zip.zip": lambda: evil_zip(Zipped("inner.tar", evil_tar(), deflate=False)),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_only_looks_odd_is_installed(
    name: str, surroundings: Path, paddlesrv: Program
) -> None:
    given = surroundings / "given" / name
    given.write_bytes(GOOD[name]())
    ended = paddlesrv("get", MODEL, "--from", str(given))
    assert ended.code == 0, ended.err
    installed = surroundings / "a" / "b" / "home" / "cache" / "models" / MODEL
    assert (installed / "inference.pdmodel").is_file()
    assert paddlesrv("info", MODEL, "--json").document["installed"] is not None


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_modes_of_the_archive_do_not_survive(
    form: str, surroundings: Path, paddlesrv: Program
) -> None:
    given = surroundings / "given" / f"modes.{form}"
    evil = {"setuid": 0o6755, "sticky": 0o1777, "unreadable": 0}
    given.write_bytes(
        evil_tar(
            *(member(name, b"x", mode=mode) for name, mode in evil.items()),
            member("d", kind=b"5", mode=0o2000),
        )
        if form == "tar"
        else evil_zip(*(Zipped(n, b"x", mode=0o100000 | mode) for n, mode in evil.items()))
    )
    assert paddlesrv("get", MODEL, "--from", str(given)).code == 0
    installed = (surroundings / "a" / "b" / "home" / "cache" / "models" / MODEL).resolve()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in installed.rglob("*")}
    assert {modes[name] for name in evil} == {0o644}
    assert not any(mode & 0o7022 for mode in modes.values())


def test_a_refusal_as_json_names_member_and_rule(surroundings: Path, paddlesrv: Program) -> None:
    given = surroundings / "given" / "evil.tar"
    given.write_bytes(evil_tar(member("../evil", b"x")))
    ended = paddlesrv("get", MODEL, "--from", str(given), "--json")
    assert ended.code == 5
    assert ended.document["error"]["code"] == "integrity"
    assert "../evil" in str(ended.document["error"]["context"])


def test_nothing_in_the_package_unpacks_an_archive_at_once() -> None:
    import paddlesrv as package

    for path in Path(package.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for word in ("extractall", "unpack_archive", "import tarfile"):
            assert word not in text, f"{path.name} has {word}"
