"""`env`, `version`, `doctor`."""

import platform
import socket
from contextlib import closing

import pytest

from paddlesrv import __version__, doctor
from paddlesrv.cli.doctor import GroupWord
from paddlesrv.doctor import DISK_FAIL_BYTES, GROUPS, examine
from paddlesrv.settings import SETTINGS, Settings


def test_env_says_where_each_value_comes_from(paddlesrv, monkeypatch, home):
    monkeypatch.setenv("PADDLESRV_MIRROR", "https://someone:secret@mirror.example/models")
    rows = {row["env"]: row for row in paddlesrv("env", "--json", "--offline").document["settings"]}
    assert list(rows) == [setting.env for setting in SETTINGS]
    assert (rows["PADDLESRV_HOME"]["value"], rows["PADDLESRV_HOME"]["origin"]) == (
        str(home), "PADDLESRV_HOME",
    )  # fmt: skip
    assert (rows["PADDLESRV_OFFLINE"]["value"], rows["PADDLESRV_OFFLINE"]["origin"]) == (
        True, "--offline",
    )  # fmt: skip
    assert rows["PADDLESRV_CATALOGUE"]["origin"] == "default"
    assert "secret" not in str(rows)


def test_env_for_people_lists_every_variable_and_the_paths(paddlesrv, home):
    text = paddlesrv("env").out
    assert all(setting.env in text and setting.help in text for setting in SETTINGS)
    assert str(home / "cache") in text


def test_version_tells_all_that_a_report_needs(paddlesrv):
    document = paddlesrv("version", "--json").document
    assert document["version"] == __version__
    assert document["python"] == platform.python_version()
    assert {"platform", "engines", "devices", "catalogue"} <= set(document)
    assert document["devices"][0]["device"] == "cpu"
    text = paddlesrv("version").out
    assert document["catalogue"]["revision"] in text
    assert paddlesrv("version", "-q").out == f"{__version__}\n"


def test_doctor_checks_every_group_and_gives_remedies(paddlesrv):
    ended = paddlesrv("doctor", "--json")
    checks = ended.document["checks"]
    assert list(dict.fromkeys(check["group"] for check in checks)) == list(GROUPS)
    assert {check["status"] for check in checks} <= {"ok", "warn", "fail"}
    assert all(check["remedy"] for check in checks if check["status"] != "ok")
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
    assert "remedy: paddlesrv get ocr_rec --force" in ended.out


def test_a_full_disk_fails(home, monkeypatch):
    usage = doctor.shutil.disk_usage("/")._replace(free=DISK_FAIL_BYTES - 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage)
    first = next(iter(examine(Settings(home=home), ("disk",))))
    assert first.status == "fail"
    assert "PADDLESRV_HOME" in (first.remedy or "")


def test_a_port_in_use_is_a_warning(monkeypatch, home):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(doctor, "default_address", lambda: ("127.0.0.1", port))
        (finding,) = examine(Settings(home=home), ("ports",))
    assert finding.status == "warn"
    assert str(port) in finding.text


@pytest.mark.parametrize("group", list(GROUPS))
def test_no_check_opens_a_connection(group, home, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert list(examine(Settings(home=home, mirror="https://mirror.example"), (group,)))
