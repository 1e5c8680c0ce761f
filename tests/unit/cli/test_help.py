"""Help: every command has one, it ends with examples, and these examples are commands."""

import pytest

from paddlesrv import __version__
from paddlesrv.cli.command import SHARED
from tests.unit.cli.commands import COMMANDS

NAMES = [" ".join(path) for path in COMMANDS]


@pytest.mark.parametrize("name", ["", *NAMES])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_what_it_does_and_ends_with_examples(name, flag, paddlesrv):
    ended = paddlesrv(*name.split(), flag)
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: paddlesrv {name}".rstrip())
    _, _, examples = ended.out.partition("\nExamples:\n")
    lines = examples.splitlines()
    assert lines
    assert all("paddlesrv" in line for line in lines)


def test_commands_are_listed_by_what_they_are_for(paddlesrv):
    text = paddlesrv().out
    positions = [text.index(title) for title in ("Models:", "Serving:", "This machine:", SHARED)]
    assert positions == sorted(positions)
    assert "\n  ls " not in text


def test_what_a_command_does_is_listed_in_whole(paddlesrv):
    for words in ((), ("config",)):
        listed = paddlesrv(*words, "--help").out.partition("\nExamples:")[0]
        assert "..." not in listed.replace("[ARGS]...", "")


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
