"""What holds for every command, and for every one that is still to come."""

import ast
import shlex
from pathlib import Path

import pytest
import typer

import paddlesrv.cli
from paddlesrv import environment
from paddlesrv.cli.command import SHARED
from paddlesrv.cli.failure import EXIT_CODES
from paddlesrv.cli.main import app
from paddlesrv.errors import PaddlesrvError
from tests.unit.cli.commands import COMMANDS, VERBS, flags, is_noun

NAMES = [" ".join(path) for path in COMMANDS]
WORDS = {" ".join(path): command for path, command in VERBS.items()}

# Whether a command changes or starts anything decides whether it must have --dry-run. A new
# command is entered in one of the two.
ONLY_LOOKS = {
    "list", "ls", "search", "info", "ps", "logs", "env", "version", "help",
    "client-config", "key list",
    "config show", "config path", "cache df", "cache dir", "catalog show", "catalog check",
    # Its files are those that it is asked to paint; what it fetches, `get --dry-run` tells.
    # The server that it starts is gone when it ends.
    "predict", "bench",
}  # fmt: skip
CHANGES = {
    "get", "serve", "stop", "tune", "config gen", "doctor", "completion",
    "verify", "rm", "import", "mirror", "cache prune", "catalog update",
    "key new", "key rm", "encrypt",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_the_shared_flags(name):
    command = COMMANDS[tuple(name.split())]
    if is_noun(command):
        return
    own = flags(command)
    assert {"--json", "-q", "--quiet", "-v", "--color", "--offline", "--no-progress"} <= own


@pytest.mark.parametrize("name", list(WORDS))
def test_what_changes_or_starts_something_can_be_tried_dry(name):
    assert name in ONLY_LOOKS | CHANGES, "enter it in ONLY_LOOKS or in CHANGES"
    assert ("--dry-run" in flags(WORDS[name])) is (name in CHANGES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_what_it_does_in_a_line(name):
    command = COMMANDS[tuple(name.split())]
    first = (command.help or "").split("\n\n")[0]
    assert first.endswith(".")
    assert first[0].isupper()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_argument_is_explained(name):
    for parameter in COMMANDS[tuple(name.split())].params:
        assert parameter.help, parameter.name
        assert parameter.help.endswith("."), parameter.help
        is_switch = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
        assert is_switch or parameter.metavar, f"{parameter.name} names no value"


def examples():
    program = typer.main.get_command(app)
    for path, command in {(): program, **COMMANDS}.items():
        for line in (command.epilog or "").splitlines():
            yield pytest.param(line, id=f"{' '.join(path)}: {line}")


@pytest.mark.parametrize("line", list(examples()))
def test_every_example_is_a_command_line_that_parses(line):
    parse(line)


def parse(line: str) -> None:
    """Read a command line as the program would, without running it."""
    words = shlex.split(line.replace("<(", " ").replace(")", " "), comments=True)
    ends = [i for i, word in enumerate(words) if word in ("|", "&&", ">")] + [len(words)]
    assert "paddlesrv" in words, line
    for start in (i for i, word in enumerate(words) if word == "paddlesrv"):
        end = min(i for i in ends if i > start)
        command, rest = typer.main.get_command(app), words[start + 1 : end]
        while is_noun(command) and rest and not rest[0].startswith("-"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context("paddlesrv", rest)


@pytest.mark.parametrize("name", list(WORDS))
@pytest.mark.parametrize("flag", ["--no-such-flag", "--no-such-flag=1"])
def test_an_error_as_json_is_one_document_on_stdout(name, flag, paddlesrv):
    ended = paddlesrv(*name.split(), flag, "--json")
    assert ended.code == 2
    error = ended.document["error"]
    assert error["code"] == "usage"
    assert error["hint"] == f"see: paddlesrv {name} --help"
    assert ended.err == ""


def kinds(kind):
    return {kind} | {each for below in kind.__subclasses__() for each in kinds(below)}


def test_every_exit_code_is_explained():
    assert {kind.exit_code for kind in kinds(PaddlesrvError)} <= set(EXIT_CODES)


SOURCES = sorted(Path(paddlesrv.cli.__file__).parents[1].rglob("*.py"))


def test_every_variable_that_is_spoken_of_is_listed():
    known = {variable.name for variable in environment.OWN}
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value.split("=")[0]
                if word.startswith("PADDLESRV_") and word.replace("_", "").isalnum():
                    found.add(word)
    assert {"PADDLESRV_HOME", "PADDLESRV_OFFLINE"} <= found
    assert found - known <= {"PADDLESRV_", "PADDLESRV_SERVE_", "PADDLESRV_TEST_"}


def test_an_option_whose_value_is_called_as_itself_is_named():
    # typer 0.27.0 makes --NAME of `name: Annotated[str, typer.Option(metavar="NAME")]`.
    for path in (Path(paddlesrv.cli.__file__).parent).glob("*.py"):
        for argument in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(argument, ast.arg) or argument.annotation is None:
                continue
            for call in ast.walk(argument.annotation):
                if isinstance(call, ast.Call) and not call.args:
                    metavars = [
                        ast.unparse(k.value).strip("'") for k in call.keywords if k.arg == "metavar"
                    ]
                    named = ast.unparse(call.func) == "typer.Option"
                    same = argument.arg.upper() in metavars
                    assert not (named and same), f'{path.name}: name it: "--{argument.arg}"'


def test_nobody_prints_past_the_sink_or_asks_without_looking_for_a_terminal():
    for path in SOURCES:
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        asking = {"input", "typer.confirm", "typer.prompt", "getpass.getpass"}
        if path.name == "asking.py":
            assert {call for call in calls if call in asking} == {"typer.confirm"}
            assert "is_terminal" in calls
        else:
            assert not calls & {"print", "typer.echo", *asking}, path


def test_shared_options_stand_in_a_section_of_their_own():
    for command in VERBS.values():
        own = {p.name for p in command.params if getattr(p, "rich_help_panel", "") == SHARED}
        assert own == {"json", "quiet", "verbose", "color", "offline", "no_progress"}
