"""What every command is given: the flags that all share, the settings in force, and the sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

from paddlesrv import settings as settings_module
from paddlesrv.cli.output import Color, Output

if TYPE_CHECKING:
    from paddlesrv.settings import InForce, Settings
    from paddlesrv.zoo.catalogue import Catalogue
    from paddlesrv.zoo.store import Store


@dataclass(frozen=True)
class Flags:
    """The flags that stand before or after any command."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    color: Color | None = None
    offline: bool = False
    no_progress: bool = False

    def merged(self, later: Flags) -> Flags:
        """Both together; a colour given later wins, counts add up."""
        return Flags(
            json=self.json or later.json,
            quiet=self.quiet or later.quiet,
            verbose=self.verbose + later.verbose,
            color=later.color or self.color,
            offline=self.offline or later.offline,
            no_progress=self.no_progress or later.no_progress,
        )

    @classmethod
    def guess(cls, argv: Sequence[str]) -> Flags:
        """What decides the form of an error, from words that may not parse."""
        words = list(argv)
        words = words[: words.index("--")] if "--" in words else words
        color: Color | None = None
        pairs = list(pairwise(words))
        for option in get_args(Color):
            if f"--color={option}" in words or ("--color", option) in pairs:
                color = option
        return cls(json="--json" in words, verbose=2 * ("-vv" in words), color=color)


FLAG_NAMES = tuple(field.name for field in fields(Flags))


class Shell:
    """One run of the program."""

    def __init__(self, flags: Flags, argv: Sequence[str] = ()) -> None:
        self.argv = tuple(argv)
        self.interrupted = "interrupted"
        """What Ctrl-C says; a command says here how to go on."""
        self.take(flags)

    def take(self, flags: Flags) -> None:
        """Put flags in force; everything made from earlier ones is made anew."""
        self.flags = flags
        self.output = Output(
            json=flags.json,
            quiet=flags.quiet,
            color=flags.color or "auto",
            progress=not flags.no_progress,
        )
        for name in ("in_force", "readable", "catalogue", "store"):
            self.__dict__.pop(name, None)

    @property
    def debug(self) -> bool:
        """Whether tracebacks are wanted; asked even when the settings are what is wrong."""
        return self.flags.verbose >= 2 or settings_module.debug_wanted()

    @cached_property
    def in_force(self) -> InForce:
        """The settings and where each comes from.

        Raises:
            UsageError: a variable or the user's config file cannot be meant so.
        """
        return settings_module.resolve(self._given)

    @cached_property
    def readable(self) -> InForce:
        """The same, where what cannot be read is listed among the problems, and passed over.

        For commands that show what is wrong.
        """
        return settings_module.resolve(self._given, tolerant=True)

    @property
    def _given(self) -> dict[str, object]:
        return {"offline": True} if self.flags.offline else {}

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.in_force.settings

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue that the settings name."""
        from paddlesrv.zoo.catalogue_choice import load_catalogue

        return load_catalogue(self.settings)

    @cached_property
    def store(self) -> Store:
        """The store that the settings name."""
        from paddlesrv.zoo.store import Store

        return Store(self.settings.cache_dir)
