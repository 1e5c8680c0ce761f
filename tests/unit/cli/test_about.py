"""`env`, `version`."""

import platform

from paddlesrv import __version__, environment
from paddlesrv.server.defaults import OPTIONS
from paddlesrv.settings import SETTINGS


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


def test_env_lists_every_variable_with_a_meaning(paddlesrv, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@proxy.example:3128")
    document = paddlesrv("env", "--json").document
    assert [row["env"] for row in document["serve"]] == [option.env for option in OPTIONS]
    assert all(
        row["help"] for kind in ("settings", "serve", "also_heeded") for row in document[kind]
    )
    heeded = {row["env"]: row["value"] for row in document["also_heeded"]}
    assert {"NO_COLOR", "FORCE_COLOR", "HTTPS_PROXY", "NETRC", "SSL_CERT_FILE"} <= set(heeded)
    assert heeded["HTTPS_PROXY"] == "http://***@proxy.example:3128"
    names = paddlesrv("env", "-q").out.split()
    assert names == [variable.name for variable in environment.OWN]


def test_a_variable_that_nobody_knows_is_warned_of(paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_MIROR", "x")
    monkeypatch.setenv("PADDLESRV_QUUX", "x")
    ended = paddlesrv("env")
    assert (
        "warning: PADDLESRV_MIROR is no variable of paddlesrv; did you mean PADDLESRV_MIRROR?"
        in ended.err
    )
    assert "warning: PADDLESRV_QUUX is no variable of paddlesrv\n" in ended.err
    assert paddlesrv("env", "--json").document["unknown"] == [
        {"env": "PADDLESRV_MIROR", "meant": "PADDLESRV_MIRROR"},
        {"env": "PADDLESRV_QUUX", "meant": None},
    ]


def test_what_kubernetes_sets_beside_a_service_is_no_stranger():
    links = {
        "PADDLESRV_SERVICE_HOST": "10.0.0.1",
        "PADDLESRV_SERVICE_PORT": "9393",
        "PADDLESRV_SERVICE_PORT_HTTP": "9393",
        "PADDLESRV_PORT": "tcp://10.0.0.1:9393",
        "PADDLESRV_PORT_9393_TCP": "tcp://10.0.0.1:9393",
        "PADDLESRV_PORT_9393_TCP_ADDR": "10.0.0.1",
        "PADDLESRV_OCR_SERVICE_HOST": "10.0.0.1",
    }
    assert environment.unknown(links) == []
    assert not {variable.name for variable in environment.OWN} & set(links)


def test_version_says_where_the_catalogue_comes_from_even_if_it_is_broken(
    paddlesrv, monkeypatch, tmp_path
):
    assert paddlesrv("version", "--json").document["catalogue"]["origin"] == "built in"
    path = tmp_path / "catalogue.yaml"
    path.write_text("schema: 1\nmodels: [{}]")
    monkeypatch.setenv("PADDLESRV_CATALOGUE", str(path))
    ended = paddlesrv("version", "--json")
    assert ended.code == 0
    found = ended.document["catalogue"]
    assert (found["origin"], found["path"]) == ("PADDLESRV_CATALOGUE", str(path))
    assert "not valid" in found["error"]
    assert found["error"] in paddlesrv("version").out
