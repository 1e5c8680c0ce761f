"""`config show` and `config path`: what is in force, where it comes from, and broken files."""

import pytest

from paddlesrv.server.defaults import OPTIONS
from paddlesrv.settings import SETTINGS
from tests.standins import linear


@pytest.fixture
def user_file(home):
    path = home / "config" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("settings:\n  offline: true\nserve:\n  port: 9400\n  engine: onnxruntime\n")
    return path


def rows(document):
    every = [*document["settings"], *document["serve"]]
    return {row["name"]: (row["value"], row["origin"]) for row in every}


def test_every_setting_and_option_is_shown_with_its_origin(user_file, paddlesrv, home, tmp_path):
    (tmp_path / "here" / "paddlesrv.yaml").write_text("port: 9500\nmodels: [{name: ocr}]\n")
    document = paddlesrv("config", "show", "--json").document
    found = rows(document)
    assert list(found) == [s.field for s in SETTINGS] + [o.field for o in OPTIONS]
    assert found["home"] == (str(home), "PADDLESRV_HOME")
    assert found["offline"] == (True, f"{user_file}:2")
    assert found["port"] == (9500, "paddlesrv.yaml:1")
    assert found["engine"] == ("onnxruntime", f"{user_file}:5")
    assert found["grace_s"] == (30.0, "default")
    assert document["models"] == ["ocr"]


def test_a_variable_and_a_flag_are_named(user_file, paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_SERVE_PORT", "1234")
    found = rows(paddlesrv("config", "show", "--offline", "--json").document)
    assert found["port"] == (1234, "PADDLESRV_SERVE_PORT")
    assert found["offline"] == (True, "--offline")


def test_origins_are_shown_on_demand(user_file, paddlesrv):
    plain, full = paddlesrv("config", "show").out, paddlesrv("config", "show", "--origin").out
    assert "ORIGIN" not in plain
    line = next(line for line in full.splitlines() if line.startswith("port "))
    assert line.split() == ["port", "9400", f"{user_file}:4"]
    assert "port=9400" in paddlesrv("config", "show", "-q").out.splitlines()


def test_another_file_can_be_looked_at(paddlesrv, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("port: 7\n")
    found = rows(paddlesrv("config", "show", "--config", str(path), "--json").document)
    assert found["port"] == (7, f"{path}:1")
    path.write_text("prot: 7\n")
    ended = paddlesrv("config", "show", "--config", str(path))
    assert ended.code == 2
    assert "hint: did you mean port?" in ended.err


def test_a_password_is_not_shown(paddlesrv, monkeypatch):
    monkeypatch.setenv("PADDLESRV_INDEX_URL", "https://me:hunter2@index.example/simple")
    for arguments in (["config", "show"], ["config", "show", "--json"], ["env"]):
        ended = paddlesrv(*arguments)
        assert "***@index.example" in ended.out
        assert "hunter2" not in ended.out + ended.err


def test_path_tells_which_files_are_looked_at(user_file, paddlesrv, tmp_path):
    project = tmp_path / "here" / "paddlesrv.yaml"
    assert paddlesrv("config", "path", "--json").document["files"] == [
        {"name": "user", "path": str(user_file), "exists": True},
        {"name": "project", "path": str(project), "exists": False},
    ]
    assert paddlesrv("config", "path", "-q").out == f"{user_file}\n"
    project.write_text("port: 1")
    project.chmod(0o646)
    ended = paddlesrv("config", "path")
    assert ended.code == 0
    assert "can be written by everybody" in ended.err


BROKEN = {"no YAML": "settings: [", "unknown": "settings: {miror: x}", "a list": "- x"}


@pytest.mark.parametrize("text", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["config", "path"], ["config", "--help"], ["env"], ["version"],
     ["doctor", "--group", "config"], ["help"], ["help", "config"], ["completion", "bash"]],
    ids=" ".join,
)  # fmt: skip
def test_what_helps_to_mend_a_broken_file_still_works(arguments, text, user_file, paddlesrv):
    user_file.write_text(text)
    ended = paddlesrv(*arguments)
    assert ended.code == (1 if arguments[0] == "doctor" else 0)
    if arguments[0] in ("env", "doctor") or arguments[-1] in ("path", "version"):
        assert str(user_file) in ended.out + ended.err.partition("warning:")[2]


@pytest.mark.parametrize("text", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("arguments", [["list"], ["get", "ocr"], ["config", "show"]], ids=" ".join)
def test_everything_else_refuses_a_broken_file_by_its_name(arguments, text, user_file, paddlesrv):
    user_file.write_text(text)
    ended = paddlesrv(*arguments)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert str(user_file) in ended.err
    assert "hint: " in ended.err


@pytest.fixture
def model(tmp_path):
    linear.write_onnx(tmp_path / "linear")
    return str(tmp_path / "linear")


def test_serve_takes_what_the_files_say_and_flags_go_before(user_file, paddlesrv, tmp_path, model):
    plan = paddlesrv("serve", model, "--dry-run", "--json").document
    assert plan["url"] == "http://127.0.0.1:9400"
    assert plan["models"][0]["engine"] == "onnxruntime"
    (tmp_path / "here" / "paddlesrv.yaml").write_text(f"port: 9401\nmodels: [{{name: {model}}}]\n")
    ended = paddlesrv("serve", model, "--dry-run", "--json")
    assert ended.document["url"] == "http://127.0.0.1:9401"
    assert f"from ./paddlesrv.yaml: port 9401, how {model} runs" in ended.err
    bare = paddlesrv("serve", "--dry-run", "--json")
    assert bare.document["url"] == "http://127.0.0.1:9401"
    assert bare.err == ""
    flag = paddlesrv("serve", "--port", "9402", "--dry-run", "--json").document
    assert flag["url"] == "http://127.0.0.1:9402"


def test_serve_does_not_read_what_everybody_may_write(paddlesrv, tmp_path, model):
    path = tmp_path / "here" / "paddlesrv.yaml"
    path.write_text("host: 0.0.0.0\nport: 9401\n")
    path.chmod(0o666)
    ended = paddlesrv("serve", model, "--engine", "onnxruntime", "--dry-run", "--json")
    assert ended.document["url"] == "http://127.0.0.1:9393"
    assert "warning: ./paddlesrv.yaml can be written by everybody, and is not read" in ended.err
    assert paddlesrv("serve").code == 2


def test_a_generated_file_holds_what_is_in_force_and_says_whence(user_file, paddlesrv):
    text = paddlesrv("config", "gen", "ocr").out
    port = next(line for line in text.splitlines() if line.startswith("port:"))
    assert port.split("#") == [port.split("#")[0], f" From {user_file}:4."]
    assert port.startswith("port: 9400 ")


def test_gen_tries_dry(paddlesrv, tmp_path):
    path = tmp_path / "served.yaml"
    ended = paddlesrv("config", "gen", "ocr", "-o", str(path), "--dry-run")
    assert ended.out == paddlesrv("config", "gen", "ocr").out
    assert not path.exists()
