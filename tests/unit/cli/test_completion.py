"""What is offered next on a command line, and what `completion` prints and installs."""

import os

import pytest
from msgspec.structs import replace

from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, ServerRecord, from_json, servers_dir
from paddlesrv.zoo.catalogue import Catalogue
from tests.unit.cli.commands import COMMANDS, VERBS, flags
from tests.unit.doctor.records import write_dead

ENTRIES = Catalogue.load().entries
NAMES = [entry.name for entry in ENTRIES]


@pytest.fixture
def offered(paddlesrv):
    """The words that a shell is given for a command line; the last word is unfinished."""

    def ask(*words):
        ended = paddlesrv("__complete", "--", *words)
        assert (ended.code, ended.err) == (0, "")
        return [line.partition("\t")[0] for line in ended.out.splitlines()]

    return ask


@pytest.fixture
def installed(home):
    """A model of the catalogue and an own one that are here, as far as names go."""
    for name in ("slanet_plus", "mine"):
        (home / "cache" / "models" / name).mkdir(parents=True)


def test_commands_are_offered_that_are_not_hidden(offered):
    top = {path[0] for path in COMMANDS if len(path) == 1}
    assert set(offered("")) == top - {"ls"}
    assert offered("serv") == ["serve"]
    assert set(offered("config", "")) == {"gen", "show", "path"}
    assert offered("nonesuch", "") == offered("")


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_every_flag_of_every_command_is_offered(path, offered):
    found = offered(*path, "-")
    assert set(found) <= flags(COMMANDS[path]) | {"--help"}
    longest = {max(p.opts, key=len) for p in COMMANDS[path].params if p.opts[0].startswith("-")}
    assert longest <= set(found)


def test_what_is_here_is_offered_first_to_serve_and_last_to_get(offered, installed):
    for command in ("serve", "predict", "info"):
        assert offered(command, "")[:2] == ["mine", "slanet_plus"]
        assert set(offered(command, "")) == {*NAMES, "mine"}
    fetched = offered("get", "")
    assert set(fetched) == set(NAMES)
    assert fetched[-1] == "slanet_plus"


def test_names_and_aliases_are_offered_by_what_they_begin_with(offered):
    assert set(offered("serve", "ocr_d")) >= {"ocr_det"}
    assert all(name.startswith("ocr") for name in offered("serve", "ocr"))
    assert offered("get", "resnet50") == ["resnet50"]  # an alias, once it is begun
    assert not set(offered("get", "")) & {alias for entry in ENTRIES for alias in entry.aliases}


def test_a_name_is_not_offered_twice(offered):
    assert "ocr" not in offered("serve", "ocr", "")
    assert offered("info", "ocr", "") == []


def test_values_of_flags_are_offered_however_they_are_written(offered):
    assert offered("serve", "--engine", "") == ["auto", "paddle", "onnxruntime", "openvino"]
    assert offered("serve", "ocr", "--precision", "fp") == ["fp32", "fp16"]
    assert offered("serve", "--engine=on") == ["--engine=onnxruntime"]
    assert offered("serve", "--engine", "=", "on") == ["onnxruntime"]  # as bash cuts it
    assert offered("serve", "--engine", "=") == ["auto", "paddle", "onnxruntime", "openvino"]
    assert offered("list", "--color", "") == ["auto", "always", "never"]
    assert "ocr" in offered("list", "--task", "")
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert "exit-codes" in offered("help", "exit")


def test_where_nothing_is_known_files_are_left_to_the_shell(offered):
    assert offered("serve", "--config", "") == []
    assert offered("serve", "--port", "") == []
    assert offered("predict", "ocr", "") == []
    assert offered("serve", "./my_mo") == []
    assert offered("serve", "--", "--en") == []


def test_servers_that_run_are_offered_and_dead_ones_are_not(offered, home):
    write_dead(home / "state", "dead")
    write_dead(home / "state", "reader")
    path = servers_dir(home / "state") / "reader.json"
    record = from_json(path.read_bytes(), ServerRecord)
    claim = Claim.take(home / "state", "reader")
    own = ProcessIdentity.of(os.getpid())
    assert own is not None
    claim.write(replace(record, process=own))
    assert offered("stop", "") == offered("logs", "") == ["reader"]
    claim.release()
    assert offered("stop", "") == []


def test_a_broken_environment_is_no_reason_to_speak(offered, monkeypatch):
    monkeypatch.setenv("PADDLESRV_OFFLINE", "maybe")
    assert offered("serve", "oc") == []
    assert offered("serv") == ["serve"]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A home directory of a user."""
    place = tmp_path / "user"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    for name in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return place


def files(place):
    return {str(p.relative_to(place)): p.read_text() for p in place.rglob("*") if p.is_file()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_and_nothing_is_changed(shell, paddlesrv, user, home):
    ended = paddlesrv("completion", shell)
    assert "__complete -- " in ended.out
    assert ended.err == ""
    assert (
        paddlesrv("completion", shell, "--json").document["script"].rstrip() == ended.out.rstrip()
    )
    assert paddlesrv("completion", shell, "--install", "--dry-run").code == 0
    assert not files(user)
    assert not home.exists()


@pytest.mark.parametrize(
    ("shell", "changed"),
    [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/completions/paddlesrv.fish")],
)
def test_install_says_what_it_changed_and_does_it_once(shell, changed, paddlesrv, user):
    start = user / changed
    if shell != "fish":
        start.write_text("alias ll='ls -l'")  # no end of line at its end
    dry = paddlesrv("completion", shell, "--install", "--dry-run", "--json").document
    wet = paddlesrv("completion", shell, "--install", "--json").document
    assert dry["changed"] == wet["changed"]
    assert str(start) in wet["changed"]
    text = start.read_text()
    if shell != "fish":
        assert text.startswith("alias ll='ls -l'\n")
        assert text.count("# paddlesrv completion\n") == 1
    again = paddlesrv("completion", shell, "--install")
    assert "nothing to change" in again.out
    assert start.read_text() == text


def test_a_linked_start_up_file_stays_a_link(paddlesrv, user):
    (user / "dotfiles").mkdir()
    (user / "dotfiles" / "bashrc").write_text("# mine\n")
    (user / ".bashrc").symlink_to("dotfiles/bashrc")
    paddlesrv("completion", "bash", "--install")
    assert (user / ".bashrc").is_symlink()
    assert "# paddlesrv completion" in (user / "dotfiles" / "bashrc").read_text()
