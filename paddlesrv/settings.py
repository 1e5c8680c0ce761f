"""Paths and options that hold for every command; where each value comes from.

Precedence: flag > environment (PADDLESRV_*) > the user's config file > default. What a server is
started with has one layer more: see `paddlesrv.server.defaults`. `SETTINGS` is the one list from
which the environment table, `env`, `config show` and the docs are made.

The user's file is the only one that settings are taken from: `./paddlesrv.yaml` comes along with
whatever directory one stands in, and must not be able to say where models are fetched from.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import platformdirs

from paddlesrv.errors import UsageError
from paddlesrv.yaml_file import Rules, YamlFile, explain, read_yaml

USER_FILE = "config.yaml"
"""The user's config file, in `Settings.config_dir`."""
SECTIONS = ("settings", "serve")
"""What the user's file holds: settings, and defaults for servers."""


@dataclass(frozen=True)
class Setting:
    """One option: its field in `Settings`, its environment variable, and what it is for.

    `accepted` says in words what a file may hold for it; None: it cannot stand in a file.
    """

    field: str
    env: str
    help: str
    flag: str | None = None
    accepted: str | None = None


SETTINGS = (
    Setting("home", "PADDLESRV_HOME", "One directory for everything: store, state, user config."),
    Setting(
        "mirror",
        "PADDLESRV_MIRROR",
        "Base URL (or directory) that every source is taken from.",
        accepted="an address, or a directory (from the file's own on)",
    ),
    Setting(
        "offline",
        "PADDLESRV_OFFLINE",
        "1: open no connection to the outside; use what is installed.",
        flag="--offline",
        accepted="true or false",
    ),
    Setting(
        "index_url",
        "PADDLESRV_INDEX_URL",
        "Package index for `wheel` sources, instead of pip's own.",
        accepted="an address without a password",
    ),
    Setting(
        "catalogue",
        "PADDLESRV_CATALOGUE",
        "Another manifest than the one inside the package.",
        accepted="a path (from the file's own directory on)",
    ),
    Setting(
        "catalogue_key",
        "PADDLESRV_CATALOGUE_KEY",
        "minisign public key (or a file with one) that an updated catalogue must be signed with.",
        accepted="a minisign public key",
    ),
    Setting(
        "choice_seconds",
        "PADDLESRV_CHOICE_SECONDS",
        "Time for finding a model's fastest engine, at its first start; 0: no trial.",
        accepted="a number from 0, in seconds",
    ),
    Setting("debug", "PADDLESRV_DEBUG", "1: show tracebacks.", flag="-vv"),
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The values in force for one run of the program."""

    home: Path | None = None
    mirror: str | None = None
    offline: bool = False
    index_url: str | None = None
    catalogue: Path | None = None
    catalogue_key: str | None = None
    choice_seconds: float = 120.0
    debug: bool = False

    @property
    def cache_dir(self) -> Path:
        """Where the store lies: `models/`, partial downloads, locks."""
        return self.home / "cache" if self.home else Path(platformdirs.user_cache_dir("paddlesrv"))

    @property
    def state_dir(self) -> Path:
        """Where records of running servers and logs lie."""
        return self.home / "state" if self.home else Path(platformdirs.user_state_dir("paddlesrv"))

    @property
    def config_dir(self) -> Path:
        """Where the user's config file lies."""
        return (
            self.home / "config" if self.home else Path(platformdirs.user_config_dir("paddlesrv"))
        )

    @property
    def user_file(self) -> Path:
        """The user's config file, there or not."""
        return self.config_dir / USER_FILE


class InForce(msgspec.Struct, frozen=True):
    """Settings, and per field where its value comes from.

    An origin is a flag, a variable, FILE:LINE, or `default`. `file` is the user's config file if
    there is one. `problems` is what could not be read, where that was to be lived with.
    """

    settings: Settings
    origins: dict[str, str]
    file: YamlFile | None = None
    problems: tuple[UsageError, ...] = ()


class _InFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings that may stand in the user's file; null is as good as absent."""

    mirror: str | None = None
    offline: bool | None = None
    index_url: str | None = None
    catalogue: str | None = None
    catalogue_key: str | None = None
    choice_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None


RULES = Rules(
    accepted={
        **{setting.field: setting.accepted for setting in SETTINGS if setting.accepted},
        "settings": "a mapping of settings",
        "serve": "a mapping of defaults for servers",
    },
    fields=lambda place: _InFile.__struct_fields__ if place == "settings" else SECTIONS,
    holds="configuration",
    wanted="a mapping with `settings`, `serve`, or both",
    hints=("see what it may hold: paddlesrv help config",),
    moved={"models": "models stand in ./paddlesrv.yaml: paddlesrv config gen MODEL"}
    | {field: f"put it below `settings:`, as {field}" for field in _InFile.__struct_fields__},
)
"""How what does not fit in the user's file is explained."""


def resolve(
    flags: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    *,
    tolerant: bool = False,
) -> InForce:
    """The settings in force: flags over `PADDLESRV_*` over the user's file over the defaults.

    Args:
        flags: Values by field, only of flags that were given.
        environ: The environment; an empty variable counts as unset.
        tolerant: Keep what cannot be read in `problems`, and go on as if it were not there.

    Raises:
        UsageError: a switch is neither 0/1, true/false, yes/no nor on/off, or the user's file
            cannot be read or holds what it may not.
    """
    environ = os.environ if environ is None else environ
    problems: list[UsageError] = []
    given, origins = _given(flags, environ, problems)
    file, written = None, {}
    try:
        file = read_user_file(Settings(**given).user_file)  # type: ignore[arg-type]
        written = _written(file)
    except UsageError as error:
        problems.append(error)
    for name, value in written.items():
        if name not in given and file is not None:
            given[name] = value
            origins[name] = file.at(f"settings.{name}")
    if problems and not tolerant:
        raise problems[0]
    everywhere = {setting.field: origins.get(setting.field, "default") for setting in SETTINGS}
    return InForce(Settings(**given), everywhere, file, tuple(problems))  # type: ignore[arg-type]


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `PADDLESRV_*` over the defaults, without any file.

    For what only needs to know where things lie.

    Raises:
        UsageError: a switch cannot be read.
    """
    problems: list[UsageError] = []
    given, _ = _given({}, os.environ if environ is None else environ, problems)
    if problems:
        raise problems[0]
    return Settings(**given)  # type: ignore[arg-type]


def debug_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment asks for tracebacks; a value that is no switch counts as no."""
    environ = os.environ if environ is None else environ
    try:
        return _switch("PADDLESRV_DEBUG", environ.get("PADDLESRV_DEBUG") or "0")
    except UsageError:
        return False


def read_user_file(path: Path) -> YamlFile | None:
    """The user's config file with its sections as they are; None if there is none.

    Raises:
        UsageError: it cannot be read, others may write to it, or it holds other sections.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"the config file {path} cannot be read: {error.strerror or error}"
        ) from error
    if mode & stat.S_IWOTH:
        # Whoever may write it decides where models are fetched from.
        raise UsageError(
            f"the config file {path} can be written by everybody", hints=[f"chmod o-w {path}"]
        )
    file = read_yaml(path)
    if file.data is None:  # empty, or nothing but comments
        return YamlFile(path, {}, file.lines)
    try:
        msgspec.convert(file.data, _Sections)
    except msgspec.ValidationError as error:
        raise explain(error, file.data, str(path), RULES, file.lines) from error
    return file


class _Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    settings: dict[str, object] | None = None
    serve: dict[str, object] | None = None


def _given(
    flags: Mapping[str, object], environ: Mapping[str, str], problems: list[UsageError]
) -> tuple[dict[str, object], dict[str, str]]:
    """Values and origins of what flags and variables say."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        text = environ.get(setting.env, "")
        if setting.field in flags:
            values[setting.field] = flags[setting.field]
            origins[setting.field] = setting.flag or "flag"
        elif text:
            try:
                values[setting.field] = _value(setting, text)
            except UsageError as error:
                problems.append(error)
            else:
                origins[setting.field] = setting.env
    return values, origins


def _written(file: YamlFile | None) -> dict[str, object]:
    """The settings that the user's file holds."""
    if file is None:
        return {}
    data = file.data.get("settings") or {}
    try:
        found = msgspec.convert(data, _InFile)
    except msgspec.ValidationError as error:
        raise explain(error, data, str(file.path), RULES, file.lines, "settings") from error
    values: dict[str, object] = {
        name: value for name, value in msgspec.structs.asdict(found).items() if value is not None
    }
    beside = file.path.absolute().parent
    if found.catalogue is not None:
        values["catalogue"] = beside / Path(found.catalogue).expanduser()
    for name in ("mirror", "index_url"):
        if name in values:
            _refuse_password(file, name, str(values[name]))
    if found.mirror is not None and not urlsplit(found.mirror).scheme:
        values["mirror"] = str(beside / Path(found.mirror).expanduser())
    return values


def _refuse_password(file: YamlFile, name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UsageError(
            f"settings.{name} in {file.path} is no address: {error}",
            context={"at": file.at(f"settings.{name}")},
        ) from error
    if "@" in parts.netloc:
        raise UsageError(
            f"settings.{name} in {file.path} holds credentials, which do not belong there",
            context={"at": file.at(f"settings.{name}"), "host": parts.hostname or "-"},
            hints=[f"put them into ~/.netrc (machine {parts.hostname}), and leave them out here"],
        )


def _value(setting: Setting, text: str) -> object:
    if setting.field in ("offline", "debug"):
        return _switch(setting.env, text)
    if setting.field in ("home", "catalogue"):
        return Path(text).expanduser()
    if setting.field == "choice_seconds":
        return _number(setting.env, text)
    return text


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(f"{name} is {text!r}, not a number from 0", hints=[f"set {name}=60"])
    return number


def _switch(name: str, text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise UsageError(f"{name} is {text!r}, not a switch", hints=[f"set {name}=1 or {name}=0"])
