"""Help: every command has one, it ends with examples, and these examples are commands."""

import shlex

import pytest
import typer

from paddlesrv import __version__
from paddlesrv.cli.command import SHARED
from paddlesrv.cli.main import app

COMMANDS = [
    ("list",), ("ls",), ("search",), ("info",), ("get",), ("import",), ("serve",), ("predict",),
    ("config",), ("config", "gen"), ("doctor",), ("env",), ("version",),
]  # fmt: skip


def test_these_are_all_commands():
    program = typer.main.get_command(app)
    found = set()
    for name, command in program.commands.items():
        found.add((name,))
        found |= {(name, below) for below in getattr(command, "commands", {})}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", [(), *COMMANDS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_what_it_does_and_ends_with_examples(command, flag, paddlesrv):
    ended = paddlesrv(*command, flag)
    assert ended.code == 0
    assert ended.out.startswith("Usage: paddlesrv " + " ".join(command))
    _, _, examples = ended.out.partition("\nExamples:\n")
    lines = examples.splitlines()
    assert lines
    assert all("paddlesrv" in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_use_flags_that_exist(command, paddlesrv):
    examples = paddlesrv(*command, "--help").out.partition("\nExamples:\n")[2]
    for line in examples.splitlines():
        words = shlex.split(line.split("|")[-1].strip())
        words = words[words.index("paddlesrv") + 1 :]
        known = paddlesrv(*words[: 2 if words[0] == "config" else 1], "--help").out
        for word in words:
            if word.startswith("-") and word != "-":
                assert f"{word} " in known or f"{word}," in known, (line, word)


def test_commands_are_listed_by_what_they_are_for(paddlesrv):
    text = paddlesrv().out
    positions = [text.index(title) for title in ("Models:", "Serving:", "This machine:", SHARED)]
    assert positions == sorted(positions)
    assert "\n  ls " not in text


def test_markup_in_words_is_left_as_it_is(paddlesrv):
    assert "[bold]x[/bold]" in paddlesrv("info", "[bold]x[/bold]").err


def test_version_is_one_line(paddlesrv):
    ended = paddlesrv("--version")
    assert (ended.code, ended.out) == (0, f"paddlesrv {__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("config",)])
def test_without_a_command_help_is_shown(arguments, paddlesrv):
    ended = paddlesrv(*arguments)
    assert ended.code == 0
    assert "Usage: paddlesrv" in ended.out
