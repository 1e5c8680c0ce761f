"""What a server is started with below the flags: which place each value is taken from."""

import os
from pathlib import Path

import pytest

from paddlesrv.errors import UsageError
from paddlesrv.server import defaults as module
from paddlesrv.server.config import ModelConfig, ServerConfig
from paddlesrv.server.defaults import OPTIONS, PROJECT_FILE, defaults, find_project, untrusted
from paddlesrv.yaml_file import YamlFile, read_yaml


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file(text: str) -> YamlFile:
    path = Path("some.yaml")
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


def test_a_variable_goes_before_the_servers_file_before_the_users_before_the_default(here):
    user = file("serve:\n  port: 1\n  host: ::1\n  grace_s: 1\n")
    project = YamlFile(Path("p.yaml"), {"port": 2, "host": "0.0.0.0"}, {"port": 1, "host": 2})
    found = defaults(user, project, {"PADDLESRV_SERVE_PORT": "3"})
    assert (found.values["port"], found.origins["port"]) == (3, "PADDLESRV_SERVE_PORT")
    assert (found.values["host"], found.origins["host"]) == ("0.0.0.0", "p.yaml:2")
    assert (found.values["grace_s"], found.origins["grace_s"]) == (1, "some.yaml:4")
    assert found.origins["max_body_mb"] == "default"


def test_how_a_model_runs_is_decided_in_the_same_order(here):
    user = file("serve: {engine: onnxruntime, instances: 2, threads: 3}\n")
    project = YamlFile(Path("p.yaml"), {"models": [{"name": "a", "instances": 4}, {"name": "b"}]})
    found = defaults(user, project, {"PADDLESRV_SERVE_THREADS": "5"}).configuration()
    assert found.models == (
        ModelConfig(name="a", engine="onnxruntime", instances=4, threads=5),
        ModelConfig(name="b", engine="onnxruntime", instances=2, threads=5),
    )


def test_models_that_are_named_take_the_place_of_those_in_the_file(here):
    project = YamlFile(Path("p.yaml"), {"port": 8, "models": [{"name": "a", "instances": 4}]})
    found = defaults(None, project, {})
    assert found.configuration(["c", "a"]) == ServerConfig(
        models=(ModelConfig(name="c"), ModelConfig(name="a", instances=4)), port=8
    )
    assert found.decided_by_file(["c", "a"]) == ["port 8", "how a runs"]
    assert defaults(None, None, {}).decided_by_file(["a"]) == []


def test_without_files_and_variables_the_defaults_hold():
    assert defaults(environ={}).configuration(["a"]) == ServerConfig(
        models=(ModelConfig(name="a"),)
    )


def test_a_file_without_models_serves_those_that_are_named_alone(here):
    found = defaults(None, file("port: 8"), {})
    assert found.configuration(["a"]).port == 8
    with pytest.raises(UsageError, match=r"models is missing in some\.yaml"):
        found.configuration()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_every_option_can_be_given_by_variable_and_by_the_users_file(option, here):
    values = {
        "host": "'::1'", "engine": "onnxruntime", "device": "'gpu:1'", "precision": "fp16",
        "tls_cert": "server.pem", "tls_key": "server.key", "admin": "true",
        "tls_client_ca": "ca.pem", "api_key_file": "keys", "key_file": "model.key",
        "allow_host": "a.example",
        "cors_origin": "'https://a.example'",
        "tensorrt": "true", "pin": "true",
    }  # fmt: skip
    text = values.get(option.field, "7")
    by_variable = defaults(environ={option.env: text.strip("'")})
    by_file = defaults(file(f"serve: {{{option.field}: {text}}}"), environ={})
    assert by_variable.values == by_file.values != defaults(environ={}).values
    assert by_variable.origins[option.field] == option.env


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("serve: {prot: 1}", "serve.prot", "did you mean port?"),
        ("serve: {port: 70000}", "serve.port", "correct serve.port"),
        ("serve: {models: []}", "serve.models", "remove serve.models"),
        ("serve: {name: a}", "serve.name", "remove serve.name"),
    ],
)
def test_what_does_not_fit_in_the_users_file_is_named(text, message, hint, here):
    with pytest.raises(UsageError) as caught:
        defaults(file(text), environ={})
    assert message in caught.value.message
    assert hint in caught.value.hints[0]
    assert caught.value.context["at"] == "line 1"


def test_a_setting_in_the_servers_file_is_refused_with_where_it_belongs(here):
    with pytest.raises(UsageError) as caught:
        defaults(
            None, file("models: [{name: a}]\nsettings: {mirror: 'https://evil.example'}\n"), {}
        )
    assert caught.value.message == "settings in some.yaml is no known option"
    assert caught.value.hints == ("settings stand in your own file: paddlesrv config path",)


def test_a_variable_that_does_not_fit_is_named():
    with pytest.raises(UsageError, match="PADDLESRV_SERVE_PORT is not accepted") as caught:
        defaults(environ={"PADDLESRV_SERVE_PORT": "tcp://10.0.0.1:9393"})
    assert caught.value.hints == ("correct or unset PADDLESRV_SERVE_PORT",)


def test_a_file_of_ones_own_is_read_where_it_lies(here):
    assert find_project(None, asked=True) is None
    PROJECT_FILE.write_text("port: 1")
    for asked in (True, False):
        found = find_project(None, asked=asked)
        assert found is not None
        assert found.data == {"port": 1}


def test_a_file_that_others_can_have_written_is_read_only_where_it_is_named(here):
    PROJECT_FILE.write_text("host: 0.0.0.0")
    PROJECT_FILE.chmod(0o666)
    assert untrusted(PROJECT_FILE) == "can be written by everybody"
    assert find_project(None, asked=False) is None
    with pytest.raises(UsageError, match="can be written by everybody") as caught:
        find_project(None, asked=True)
    assert "--config paddlesrv.yaml" in caught.value.hints[0]
    named = find_project(PROJECT_FILE, asked=True)
    assert named is not None
    assert named.data == {"host": "0.0.0.0"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_not_read_unnamed(here):
    PROJECT_FILE.write_text("host: 0.0.0.0")
    link = here / "link.yaml"
    link.symlink_to(PROJECT_FILE)
    assert untrusted(link) is None
    os.chown(link, 12345, -1, follow_symlinks=False)
    assert untrusted(link) == "belongs to another user"
    os.chown(PROJECT_FILE, 12345, -1)
    assert untrusted(PROJECT_FILE) == "belongs to another user"
    assert find_project(None, asked=False) is None


def test_flags_that_are_named_are_those_of_serve():
    import typer

    from paddlesrv.cli.main import app

    serve = typer.main.get_command(app).commands["serve"]
    known = {name for parameter in serve.params for name in parameter.opts}
    for option in OPTIONS:
        for flag in (option.flag or "").split(", "):
            assert not flag or flag in known
    assert set(module._FLAGS) <= {option.field for option in OPTIONS}
