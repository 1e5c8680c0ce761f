"""Completion in real shells: the script is loaded, and what Tab would offer is looked at."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import SECONDS, environment, run

ROOT = Path(__file__).parents[2]
# What readline does before it calls a completion function, and what it takes from it.
BASH = """
set -euo pipefail
source <(paddlesrv completion bash)
COMP_WORDS=({words}) COMP_CWORD={last}
specification=$(complete -p paddlesrv)
function=${{specification#*-F }}
${{function%% *}} paddlesrv "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
(( ${{#COMPREPLY[@]}} )) && printf '%s\\n' "${{COMPREPLY[@]}}" || true
"""
FISH = "source (paddlesrv completion fish | psub); complete --do-complete {line}"


@pytest.fixture
def shell(tmp_path):
    """Run a script of a shell that has `paddlesrv` on its path; its output's lines."""
    program = tmp_path / "bin" / "paddlesrv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m paddlesrv "$@"\n')
    program.chmod(0o755)

    def call(*words, home=None):
        found = environment(home or tmp_path / "home", PYTHONPATH=str(ROOT), HOME=str(tmp_path))
        found["PATH"] = f"{program.parent}:{found['PATH']}"
        done = subprocess.run(
            words, capture_output=True, text=True, env=found, timeout=SECONDS, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.splitlines()

    return call


@pytest.fixture
def bash(shell):
    def offered(*words):
        quoted = " ".join(shlex.quote(word) for word in ("paddlesrv", *words))
        script = BASH.format(words=quoted, last=len(words))
        return shell("bash", "--norc", "--noprofile", "-c", script)

    return offered


def test_bash_completes_commands_flags_values_and_names(bash):
    assert bash("pred") == ["predict"]
    assert "gen" in bash("config", "")
    assert "--instances" in bash("serve", "ocr", "--in")
    assert bash("serve", "--precision", "=", "fp") == ["fp32", "fp16"]
    assert "ocr_det" in bash("get", "ocr_")
    assert bash("serve", "--config", "") == []


def test_bash_leaves_file_names_to_itself_where_nothing_is_known(shell):
    (line,) = shell(
        "bash", "--norc", "-c", "source <(paddlesrv completion bash); complete -p paddlesrv"
    )
    assert "-o default" in line


def test_an_installed_script_is_loaded_by_a_new_bash(shell, tmp_path):
    assert (
        run(tmp_path / "home", "completion", "bash", "--install", HOME=str(tmp_path)).returncode
        == 0
    )
    (line,) = shell("bash", "--rcfile", str(tmp_path / ".bashrc"), "-c",
                    f". {tmp_path}/.bashrc; complete -p paddlesrv")  # fmt: skip
    assert line.endswith(" paddlesrv")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_flags_values_and_names(shell):
    def offered(line):
        found = shell("fish", "--no-config", "-c", FISH.format(line=shlex.quote(line)))
        return [word.partition("\t")[0] for word in found]

    assert offered("paddlesrv pred") == ["predict"]
    assert "--instances" in offered("paddlesrv serve ocr --in")
    assert offered("paddlesrv serve --engine on") == ["onnxruntime"]
    assert "ocr_det" in offered("paddlesrv get ocr_")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_its_shell(name, tmp_path):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    script = tmp_path / "script"
    script.write_text(run(tmp_path, "completion", name).stdout)
    assert subprocess.run([name, "-n", str(script)], timeout=SECONDS).returncode == 0
