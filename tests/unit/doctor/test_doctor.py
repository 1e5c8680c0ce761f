"""`doctor`: what is looked at, what would help, and what `--fix` mends."""

import os
import resource
import shutil
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from paddlesrv.cli.doctor import GroupWord
from paddlesrv.doctor import GROUPS, examine
from paddlesrv.doctor.cgroups import Limits, limits
from paddlesrv.doctor.room import DISK_FAIL_BYTES
from paddlesrv.server.config import usable_cores
from paddlesrv.settings import Settings
from paddlesrv.zoo.leftovers import STALE_SECONDS


def test_doctor_checks_every_group_and_gives_remedies(paddlesrv):
    ended = paddlesrv("doctor", "--json")
    checks = ended.document["checks"]
    assert list(dict.fromkeys(check["group"] for check in checks)) == list(GROUPS)
    assert {check["status"] for check in checks} <= {"ok", "off", "warn", "fail"}
    assert all(check["remedy"] for check in checks if check["status"] not in ("ok", "off"))
    assert ended.code == (0 if ended.document["ok"] else 1)


def test_doctor_looks_at_the_groups_named(paddlesrv):
    ended = paddlesrv("doctor", "--group", "ports", "--group", "python", "--json")
    assert {check["group"] for check in ended.document["checks"]} == {"python", "ports"}


def test_the_groups_of_the_flag_are_those_there_are():
    assert [word.value for word in GroupWord] == list(GROUPS)


def test_something_that_fails_is_shown_with_its_remedy_and_exits_1(paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_MIRROR", "no/such/directory")
    ended = paddlesrv("doctor", "--group", "sources")
    assert ended.code == 1
    lines = ended.out.splitlines()
    (bad,) = (number for number, line in enumerate(lines) if line.startswith("fail"))
    assert "PADDLESRV_MIRROR is no/such/directory" in lines[bad]
    assert lines[bad + 1].strip() == "remedy: correct or unset PADDLESRV_MIRROR"
    assert "1 failed" in ended.err


def test_a_damaged_catalogue_fails(paddlesrv, monkeypatch, tmp_path):
    path = tmp_path / "catalogue.yaml"
    path.write_text("schema: 1\nmodels: [{}]")
    monkeypatch.setenv("PADDLESRV_CATALOGUE", str(path))
    assert paddlesrv("doctor", "--group", "sources").code == 1


def test_a_model_that_is_not_whole_fails_with_the_way_to_mend_it(paddlesrv, home):
    (home / "cache" / "models" / "ocr_rec").mkdir(parents=True)
    ended = paddlesrv("doctor", "--group", "store")
    assert ended.code == 1
    assert "ocr_rec is not complete" in ended.out
    assert "remedy: paddlesrv verify ocr_rec --fix" in ended.out


def test_a_full_disk_fails(home, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=DISK_FAIL_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    first = next(iter(examine(Settings(home=home), ("disk",))))
    assert first.status == "fail"
    assert "PADDLESRV_HOME" in (first.remedy or "")


def test_a_port_in_use_is_a_warning(monkeypatch, home):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("PADDLESRV_SERVE_PORT", str(port))
        (finding,) = examine(Settings(home=home), ("ports",))
    assert finding.status == "warn"
    assert str(port) in finding.text


@pytest.mark.parametrize("group", list(GROUPS))
def test_no_check_opens_a_connection(group, home, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert list(examine(Settings(home=home, mirror="https://mirror.example"), (group,)))


def found(settings, group):
    return [(finding.status, finding.text) for finding in examine(settings, (group,))]


def test_too_many_threads_are_a_warning(home, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(usable_cores() + 1))
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    warned = [text for status, text in found(Settings(home=home), "limits") if status == "warn"]
    assert any(text.startswith("OMP_NUM_THREADS is") for text in warned)
    assert any(text.startswith("OMP_PROC_BIND is true") for text in warned)


def test_few_open_files_are_a_warning_with_the_number_that_is_needed(home, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        *_, files = examine(Settings(home=home), ("limits",))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (files.status, files.text) == ("warn", "512 open files")
    assert "ulimit -n 1280" in (files.remedy or "")


CGROUPS = [
    ({"cpu.max": "150000 100000", "memory.max": "1000000"}, "0::/", Limits(1.5, 1_000_000)),
    ({"cpu.max": "max 100000", "memory.max": "max"}, "0::/", Limits()),
    (
        {"a/cpu.max": "max 100000", "a/b/cpu.max": "50000 100000", "a/memory.max": "7"},
        "0::/a/b",
        Limits(0.5, 7),
    ),
    ({"cpu.max": "200000 100000"}, "0::/not/seen/from/here", Limits(2.0)),
    (
        {
            "cpu/x/cpu.cfs_quota_us": "300000",
            "cpu/x/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
        },
        "3:cpu:/x\n4:memory:/x\n5:devices:/x",
        Limits(3.0),
    ),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu:/", Limits()),
    ({}, "", Limits()),
]


@pytest.mark.parametrize(("files", "own", "expected"), CGROUPS)
def test_a_containers_limits_are_read_in_both_versions(files, own, expected, tmp_path):
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert limits(tmp_path / "root", tmp_path / "own") == expected


def test_a_variable_that_nobody_knows_and_an_untrusted_file_are_told(paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_MIROR", "x")
    Path("paddlesrv.yaml").touch(0o666)
    Path("paddlesrv.yaml").chmod(0o666)
    checks = paddlesrv("doctor", "--group", "config", "--json").document["checks"]
    texts = {check["text"]: check["remedy"] for check in checks}
    meant = "PADDLESRV_MIROR is no variable of paddlesrv; did you mean PADDLESRV_MIRROR?"
    assert texts[meant] == "unset PADDLESRV_MIROR"
    assert "--config paddlesrv.yaml" in texts["./paddlesrv.yaml can be written by everybody"]


@pytest.fixture
def neglected(home):
    """A home in which there is something of everything that can be mended."""
    cache = home / "cache"
    for name in ("staging/old-1", "staging/new-1", "models", "partial"):
        (cache / name).mkdir(parents=True)
    (cache / "partial" / "0f.part").write_bytes(b"x")
    past = (cache / "partial").stat().st_mtime - STALE_SECONDS - 60
    for name in ("staging/old-1", "partial/0f.part"):
        os.utime(cache / name, (past, past))
    config = home / "config"
    config.mkdir()
    (config / "config.yaml").write_text("settings: {offline: true}\n")
    (config / "config.yaml").chmod(0o666)
    config.chmod(0o777)
    return home


def test_fix_mends_what_is_safe_and_says_what_it_did(neglected, paddlesrv):
    assert paddlesrv("list").code == 2  # the config file is not to be trusted
    ended = paddlesrv("doctor", "--fix", "--group", "config", "--group", "store", "--json")
    assert ended.code == 0
    repairs = ended.document["repairs"]
    assert all(repair["done"] for repair in repairs)
    told = " ".join(repair["text"] for repair in repairs)
    assert "make the directory" in told
    assert "old-1" in told
    assert "0f.part" in told
    config = neglected / "config"
    assert stat.S_IMODE(config.stat().st_mode) == 0o775
    assert stat.S_IMODE((config / "config.yaml").stat().st_mode) == 0o664
    assert stat.S_IMODE((neglected / "state").stat().st_mode) == 0o700
    assert not (neglected / "cache/staging/old-1").exists()
    assert (neglected / "cache/staging/new-1").exists()
    assert not (neglected / "cache/partial/0f.part").exists()
    assert paddlesrv("list").code == 0
    assert paddlesrv("doctor", "--fix", "--group", "python").out.startswith("nothing to mend")


def test_fix_tried_dry_tells_the_same_and_changes_nothing(neglected, paddlesrv):
    def everything():
        return sorted((str(p), p.stat().st_mode) for p in neglected.rglob("*"))

    before = everything()
    dry = paddlesrv("doctor", "--fix", "--dry-run", "--json").document
    assert everything() == before
    assert not any(repair["done"] for repair in dry["repairs"])
    wet = paddlesrv("doctor", "--fix", "--json").document
    assert [r["text"] for r in dry["repairs"]] == [r["text"] for r in wet["repairs"]]
    assert paddlesrv("doctor", "--dry-run").code == 2


def test_what_cannot_be_mended_is_told_and_fails(tmp_path, paddlesrv, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "file" / "home"))
    ended = paddlesrv("doctor", "--fix", "--group", "python")
    assert ended.code == 1
    first = ended.out.splitlines()[0]
    assert first == f"fail  make the directory {tmp_path}/file/home/cache: Not a directory"


def test_the_record_of_a_dead_server_is_removed(home, paddlesrv):
    from tests.unit.doctor.records import write_dead

    write_dead(home / "state", "ocr")
    told = paddlesrv("doctor", "--group", "servers")
    assert "the server ocr is dead" in told.out
    assert "remedy: paddlesrv doctor --fix" in told.out
    fixed = paddlesrv("doctor", "--fix", "--group", "servers")
    assert "fixed remove the record of the server ocr, which is dead" in fixed.out
    assert "0 servers running" in fixed.out
    assert "dead" not in paddlesrv("ps", "-a").out
