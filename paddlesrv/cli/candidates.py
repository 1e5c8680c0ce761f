"""What may be typed next on an unfinished command line: commands, flags, choices, names.

Shells ask through `paddlesrv __complete -- WORD... LAST`, and get a line for each: the word, a
tab, and what it means. No line at all means that file names are as good as anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlesrv.cli.shell import Shell

WORD = "__complete"
"""The command that shells ask with; it is no command for people."""

_CHOICES = re.compile(r"[a-z0-9_]+(\|[a-z0-9_]+)+")
# Which models come first, or at all, by command: those that are here, or those that are not.
_HERE_ONLY = {"rm", "verify", "encrypt"}
_ABSENT_FIRST = {"get"}
_SERVERS = {"stop", "logs"}


@dataclass(frozen=True)
class Candidate:
    """One word that may stand there; a second name of something is offered once it is begun."""

    word: str
    help: str = ""
    second: bool = False


def candidates(program: Any, shell: Shell, words: Sequence[str]) -> list[Candidate]:
    """What may stand in the place of the last word, in the order in which it is to be shown.

    Args:
        program: The command line as typer has built it.
        shell: Where names of models and servers are known.
        words: The command line without the program's own name, up to the cursor.
    """
    line = _Line(program)
    *before, last = _joined(words) if words else [""]
    for word in before:
        line.take(word)
    found = line.next(shell, last)
    if words and words[-1] != last:
        # The shell has cut `--flag=value` into three words, and completes the third alone.
        lead = last.partition("=")[0] + "="
        found = [Candidate(each.word.removeprefix(lead), each.help) for each in found]
    return found


class _Line:
    """Where one is on the command line."""

    def __init__(self, program: Any) -> None:
        self.path: tuple[str, ...] = ()
        self.command = program
        self.given: list[str] = []
        self._option: Any = None
        self._only_arguments = False

    def take(self, word: str) -> None:
        """Go past one complete word."""
        if self._option is not None:
            self._option = None
        elif word == "--" and not self._only_arguments:
            self._only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not self._only_arguments:
            name, equals, _ = word.partition("=")
            option = self._options().get(name)
            self._option = option if option is not None and _takes_value(option) else None
            if equals:
                self._option = None
        elif (below := getattr(self.command, "commands", {}).get(word)) is not None:
            self.command = below
            self.path += (word,)
        else:
            self.given.append(word)

    def next(self, shell: Shell, start: str) -> list[Candidate]:
        """What may come next and begins with `start`."""
        if self._option is not None:
            return _beginning(start, self._values(shell, self._option))
        if start.startswith("-") and not self._only_arguments:
            name, equals, value = start.partition("=")
            if not equals:
                return _beginning(start, self._flags())
            option = self._options().get(name)
            values = self._values(shell, option) if option is not None else []
            return [Candidate(f"{name}={c.word}", c.help) for c in _beginning(value, values)]
        if hasattr(self.command, "commands"):
            return _beginning(start, self._commands())
        return _beginning(start, self._arguments(shell, start))

    def _options(self) -> dict[str, Any]:
        parameters = [p for p in self.command.params if p.param_type_name == "option"]
        return {name: p for p in parameters for name in (*p.opts, *p.secondary_opts)}

    def _flags(self) -> Iterator[Candidate]:
        for option in self.command.params:
            if option.param_type_name == "option" and not option.hidden:
                yield Candidate(max(option.opts, key=len), option.help or "")
        yield Candidate("--help", "Show this message and exit.")

    def _commands(self) -> Iterator[Candidate]:
        for name, command in self.command.commands.items():
            if not command.hidden:
                yield Candidate(name, command.get_short_help_str(64))

    def _arguments(self, shell: Shell, start: str) -> Iterable[Candidate]:
        arguments = [p for p in self.command.params if p.param_type_name == "argument"]
        if not arguments:
            return []
        argument = arguments[min(len(self.given), len(arguments) - 1)]
        if argument.nargs != -1 and len(self.given) >= len(arguments):
            return []
        values = self._values(shell, argument)
        return [each for each in values if each.word not in self.given]

    def _values(self, shell: Shell, parameter: Any) -> list[Candidate]:
        choices = getattr(parameter.type, "choices", None)
        metavar = (parameter.metavar or "").rstrip(".")
        if choices is not None:
            return [Candidate(str(getattr(each, "value", each))) for each in choices]
        if _CHOICES.fullmatch(metavar):
            return [Candidate(each) for each in metavar.split("|")]
        name = self.path[-1] if self.path else ""
        if parameter.param_type_name == "argument" and name in _SERVERS:
            return list(_servers(shell))
        known: dict[str, Callable[[], Iterable[Candidate]]] = {
            "MODEL": lambda: _models(shell, name),
            "TOPIC": _topics,
            "KIND": lambda: [Candidate("https"), Candidate("wheel"), Candidate("tarball")],
            "TASK": lambda: _of_catalogue(shell, "task"),
            "COLLECTION": lambda: _of_catalogue(shell, "collection"),
        }
        source = known.get(metavar) or known.get((parameter.name or "").upper())
        return list(source()) if source is not None else []


def _joined(words: Sequence[str]) -> list[str]:
    """Words as they were typed, where the shell has cut them at `=`."""
    joined: list[str] = []
    for word in words:
        after_equals = len(joined) > 0 and joined[-1].startswith("--") and joined[-1].endswith("=")
        if joined and (after_equals or (word == "=" and joined[-1].startswith("--"))):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _takes_value(option: Any) -> bool:
    return not option.is_flag and not option.count


def _beginning(start: str, found: Iterable[Candidate]) -> list[Candidate]:
    return [c for c in found if c.word.startswith(start) and (start or not c.second)]


def _models(shell: Shell, command: str) -> Iterator[Candidate]:
    """Models by name and alias; for most commands those that are here come first."""
    folder = shell.store.models_dir
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    here = {name for name in names if not name.startswith(".")}
    entries = {entry.name: entry for entry in shell.catalogue.entries}
    absent = [name for name in entries if name not in here]
    order = [*sorted(here), *absent]
    if command in _HERE_ONLY:
        order = sorted(here)
    elif command in _ABSENT_FIRST:
        order = [*absent, *sorted(here & entries.keys())]
    for name in order:
        yield Candidate(name, entries[name].task if name in entries else "own")
    for name in order:
        for alias in entries[name].aliases if name in entries else ():
            yield Candidate(alias, name, second=True)


def _of_catalogue(shell: Shell, field: str) -> Iterator[Candidate]:
    found = {getattr(entry, field) for entry in shell.catalogue.entries}
    return (Candidate(value) for value in sorted(found))


def _servers(shell: Shell) -> Iterator[Candidate]:
    from paddlesrv.server.records import running

    for record in running(shell.settings.state_dir):
        yield Candidate(record.name, " ".join([record.url, *record.models]))


def _topics() -> Iterator[Candidate]:
    from paddlesrv.cli.topics import TOPICS

    return (Candidate(topic.name, topic.about) for topic in TOPICS)
