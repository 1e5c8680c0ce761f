"""Paths and options that hold for every command; where each value comes from.

Precedence: flag > environment (PADDLESRV_*) > default. What a server is started with is another
matter: see `paddlesrv.server.config`. `SETTINGS` is the one list from which the environment
table, `env` and the docs are made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from paddlesrv.errors import UsageError


@dataclass(frozen=True)
class Setting:
    """One option: its field in `Settings`, its environment variable, and what it is for."""

    field: str
    env: str
    help: str
    flag: str | None = None


SETTINGS = (
    Setting("home", "PADDLESRV_HOME", "One directory for everything: store, state, user config."),
    Setting(
        "mirror", "PADDLESRV_MIRROR", "Base URL (or directory) that every source is taken from."
    ),
    Setting(
        "offline",
        "PADDLESRV_OFFLINE",
        "1: open no connection to the outside; use what is installed.",
        flag="--offline",
    ),
    Setting(
        "index_url",
        "PADDLESRV_INDEX_URL",
        "Package index for `wheel` sources, instead of pip's own.",
    ),
    Setting(
        "catalogue", "PADDLESRV_CATALOGUE", "Another manifest than the one inside the package."
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


class InForce(msgspec.Struct, frozen=True):
    """Settings, and per field where its value comes from: a flag, a variable, or `default`."""

    settings: Settings
    origins: dict[str, str]


def resolve(flags: Mapping[str, object], environ: Mapping[str, str] | None = None) -> InForce:
    """The settings in force: flags over `PADDLESRV_*` over the defaults.

    Args:
        flags: Values by field, only of flags that were given.
        environ: The environment; an empty variable counts as unset.

    Raises:
        UsageError: a switch is neither 0/1, true/false, yes/no nor on/off.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        text = environ.get(setting.env, "")
        if setting.field in flags:
            values[setting.field] = flags[setting.field]
            origins[setting.field] = setting.flag or "flag"
        elif text:
            values[setting.field] = _value(setting, text)
            origins[setting.field] = setting.env
        else:
            origins[setting.field] = "default"
    return InForce(Settings(**values), origins)  # type: ignore[arg-type]


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `PADDLESRV_*` over the defaults; an empty variable counts as unset.

    Raises:
        UsageError: as `resolve`.
    """
    return resolve({}, environ).settings


def debug_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment asks for tracebacks; a value that is no switch counts as no."""
    environ = os.environ if environ is None else environ
    try:
        return _switch("PADDLESRV_DEBUG", environ.get("PADDLESRV_DEBUG") or "0")
    except UsageError:
        return False


def _value(setting: Setting, text: str) -> object:
    if setting.field in ("offline", "debug"):
        return _switch(setting.env, text)
    if setting.field in ("home", "catalogue"):
        return Path(text).expanduser()
    return text


def _switch(name: str, text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise UsageError(f"{name} is {text!r}, not a switch", hints=[f"set {name}=1 or {name}=0"])
