"""Archives: what is good comes out as it went in, what is evil writes nothing outside."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.archive import Limits, extract
from paddlesrv.zoo.digests import digests_of
from paddlesrv.zoo.members import is_archive

FILES = {"m/__model__": b"program", "m/w_0": b"\0" * 5000, "readme": b"hello"}


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, body in members:
            info.size = len(body) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(body))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o7777
    return info


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return path


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_of_tar_comes_out_as_it_went_in(tmp_path: Path, mode: str) -> None:
    directory = (member("m/", tarfile.DIRTYPE), b"")
    files = [(member(name), body) for name, body in FILES.items()]
    archive = tar(tmp_path / "a", directory, *files, mode=mode)
    assert is_archive(archive)
    assert list(extract(archive, tmp_path / "out")) == sorted(FILES)
    assert tree(tmp_path / "out") == FILES
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert modes == {0o644}


def test_a_zip_comes_out_as_it_went_in(tmp_path: Path) -> None:
    assert list(extract(zipped(tmp_path / "a.whl", FILES), tmp_path / "out")) == sorted(FILES)
    assert tree(tmp_path / "out") == FILES


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_selected_members_go_where_they_are_wanted(tmp_path: Path, kind: str) -> None:
    files = [(member(name), body) for name, body in FILES.items()]
    outside = (member("../other"), b"not wanted, not judged")
    archive = (
        zipped(tmp_path / "a", FILES) if kind == "zip" else tar(tmp_path / "a", *files, outside)
    )
    extract(archive, tmp_path / "out", members={"m/": "./", "readme": "docs/readme.txt"})
    assert tree(tmp_path / "out") == {
        "__model__": b"program", "w_0": b"\0" * 5000, "docs/readme.txt": b"hello"
    }  # fmt: skip


def test_a_selected_member_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="m/none"):
        extract(zipped(tmp_path / "a", FILES), tmp_path / "out", members={"m/none": "none"})


EVIL_TAR = {
    "parent": [member("../evil")],
    "parent-within": [member("a/../../evil")],
    "absolute": [member("/tmp/evil")],
    "drive": [member("C:/evil")],
    "backslash": [member("..\\evil")],
    "symlink": [member("link", tarfile.SYMTYPE, "/etc/passwd")],
    "symlink-then-file": [member("d", tarfile.SYMTYPE, ".."), member("d/evil")],
    "hardlink": [member("link", tarfile.LNKTYPE, "../evil")],
    "character-device": [member("device", tarfile.CHRTYPE)],
    "block-device": [member("device", tarfile.BLKTYPE)],
    "fifo": [member("fifo", tarfile.FIFOTYPE)],
    "duplicate": [member("twice"), member("twice")],
    "same-after-normalising": [member("d/twice"), member("d/./twice")],
    "case": [member("Labels"), member("labels")],
    "case-of-directory": [member("D/a"), member("d/b")],
    "file-as-directory": [member("a"), member("a/b")],
    "newline": [member("a\nb")],
    "terminal-codes": [member("a\x1b[2J")],
    "not-text": [member("a\udcff")],
    "long-part": [member("a" * 256)],
    "long-path": [member("/".join(["ab"] * 400))],
}


@pytest.mark.parametrize("members", EVIL_TAR.values(), ids=EVIL_TAR.keys())
def test_evil_tar_is_refused_and_writes_nothing_outside(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    archive = tar(tmp_path / "a.tar.gz", *((info, b"evil") for info in members))
    with pytest.raises(IntegrityError) as caught:
        extract(archive, home / "out")
    assert caught.value.context["member"]
    assert caught.value.context["rule"]
    assert str(caught.value).isprintable()
    assert all(text.isprintable() for text in caught.value.context.values())
    assert [p.name for p in home.iterdir()] == ["out"]
    assert not any(p.is_symlink() for p in home.rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "/evil", "C:/evil", "a/../../evil", "a\x00b", "a\\b"])
def test_evil_zip_names_are_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {"a" * len(name): b"evil"})
    raw = archive.read_bytes()
    assert raw.count(b"a" * len(name)) == 2
    archive.write_bytes(raw.replace(b"a" * len(name), name.encode()))
    with pytest.raises(IntegrityError):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_zip_with_a_symlink_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(IntegrityError, match="regular file"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("wanted", [None, {"small": "small"}], ids=["wanted", "skipped"])
def test_a_bomb_is_stopped_by_ratio(tmp_path: Path, wanted: dict[str, str] | None) -> None:
    bomb = (member("bomb"), b"\0" * 20_000_000)
    archive = tar(tmp_path / "a.tar.gz", bomb, (member("small"), b"s"))
    with pytest.raises(IntegrityError, match="times the archive"):
        extract(archive, tmp_path / "out", members=wanted, limits=Limits(ratio_floor_bytes=1 << 20))


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(files=2), "more than 2 members"),
        (Limits(file_bytes=4999), "larger than 4999"),
        (Limits(total_bytes=5005), "all together"),
    ],
)
def test_bounds_hold(tmp_path: Path, limits: Limits, rule: str) -> None:
    for number, archive in enumerate(
        (
            zipped(tmp_path / "a.zip", FILES),
            tar(tmp_path / "a.tar", *((member(n), b) for n, b in FILES.items()), mode="w"),
        )
    ):
        with pytest.raises(IntegrityError, match=rule):
            extract(archive, tmp_path / f"out{number}", limits=limits)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
        file.write(info.tobuf())
        for _ in range(64):
            file.write(b"a" * (1 << 20))
    with pytest.raises(IntegrityError) as caught:
        extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert "a header of more than" in caught.value.context["reason"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_truncated_archive_is_damaged(tmp_path: Path, kind: str, share: float) -> None:
    body = {"noise": bytes(range(256)) * 64}
    archive = (
        zipped(tmp_path / "a", body)
        if kind == "zip"
        else tar(tmp_path / "a", *((member(n), b) for n, b in body.items()))
    )
    raw = archive.read_bytes()
    archive.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(IntegrityError):
        extract(archive, tmp_path / "out")


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), which=st.sampled_from("zt"))
def test_any_flipped_byte_gives_an_error_or_files_inside(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, which: str
) -> None:
    home = tmp_path_factory.mktemp("flip")
    make: dict[str, Callable[[], Path]] = {
        "z": lambda: zipped(home / "a", FILES),
        "t": lambda: tar(home / "a", *((member(n), b) for n, b in FILES.items()), mode="w"),
    }
    archive = make[which]()
    raw = bytearray(archive.read_bytes())
    raw[position % len(raw)] = value
    archive.write_bytes(raw)
    with contextlib.suppress(IntegrityError):
        extract(archive, home / "in" / "out")
    assert {p.name for p in home.iterdir()} <= {"a", "in"}
    assert {p.name for p in (home / "in").glob("*")} <= {"out"}


def test_what_is_no_archive_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "page.tar.gz").write_bytes(b"<html>Sign in to the network</html>" * 50)
    assert not is_archive(tmp_path / "page.tar.gz")
    with pytest.raises(IntegrityError, match="no archive"):
        extract(tmp_path / "page.tar.gz", tmp_path / "out")


def test_digests_are_those_of_the_files_written(tmp_path: Path) -> None:
    bodies = {"large": bytes(range(256)) * 20_000, "small": b"s", "empty": b""}
    archive = tar(tmp_path / "a", *((member(n), b) for n, b in bodies.items()))
    wanted = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    assert extract(archive, tmp_path / "out") == wanted
    assert digests_of(tmp_path / "out") == wanted


def test_what_is_there_already_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "readme").write_text("mine")
    with pytest.raises(IntegrityError, match="there already"):
        extract(zipped(tmp_path / "a", FILES), tmp_path / "out")
    assert (tmp_path / "out" / "readme").read_text() == "mine"


@pytest.mark.parametrize("swapped", ["m", "."])
def test_a_link_in_the_target_is_not_followed(tmp_path: Path, swapped: str) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    if swapped == "m":
        out.mkdir()
    (out / swapped).symlink_to(outside)
    with pytest.raises((IntegrityError, OSError)):
        extract(zipped(tmp_path / "a", FILES), out)
    assert list(outside.iterdir()) == []


def test_no_thread_outlives_a_refusal(tmp_path: Path) -> None:
    noise = (member("noise"), bytes(range(256)) * 80_000)
    archive = tar(tmp_path / "a", (member("../evil"), b"evil"), noise, mode="w")
    with pytest.raises(IntegrityError):
        extract(archive, tmp_path / "out")
    assert not [t.name for t in threading.enumerate() if t.name.startswith("paddlesrv-")]
