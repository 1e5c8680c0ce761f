"""`version` and `env`: what this program is, and what decides how it behaves."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import typer

from paddlesrv import __version__
from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.settings import Settings

PANEL = "This machine"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(
        app, "env", panel=PANEL, examples=["paddlesrv env", "PADDLESRV_OFFLINE=1 paddlesrv env"]
    )(env)
    command(
        app, "version", panel=PANEL, examples=["paddlesrv version", "paddlesrv version --json"]
    )(version)


def env(shell: Shell) -> None:
    """Show the environment variables that count, and the values in force.

    First those of paddlesrv, then those of others that it follows. What ./paddlesrv.yaml says is
    left to: paddlesrv config show --origin.
    """
    from paddlesrv import environment

    settings, serve = _settings(shell), _serve(shell)
    heeded = [(variable, _set(variable.name)) for variable in environment.HEEDED]
    in_force = shell.readable.settings
    paths = {
        "cache": in_force.cache_dir,
        "state": in_force.state_dir,
        "config": in_force.user_file,
    }

    def human() -> None:
        shell.output.table(
            ("VARIABLE", "VALUE", "ORIGIN", "MEANING"),
            [(r["env"], shown(r["value"]), r["origin"], r["help"]) for r in (*settings, *serve)],
        )
        shell.output.line()
        shell.output.table(
            ("ALSO HEEDED", "VALUE", "MEANING"),
            [(v.name, shown(value), v.help) for v, value in heeded],
        )
        shell.output.line()
        shell.output.pairs((name, str(path)) for name, path in paths.items())

    unknown = environment.unknown()
    shell.output.answer(
        {
            "settings": settings,
            "serve": serve,
            "also_heeded": [
                {"env": variable.name, "value": value, "help": variable.help}
                for variable, value in heeded
            ],
            "unknown": [{"env": each.name, "meant": each.meant} for each in unknown],
            "paths": {name: str(path) for name, path in paths.items()},
        },
        names=[variable.name for variable in environment.OWN],
        human=human,
    )
    for each in unknown:
        shell.output.warning(each.text)
    tell_problems(shell)


def _settings(shell: Shell) -> list[dict[str, Any]]:
    from paddlesrv.settings import SETTINGS

    in_force = shell.readable
    return [
        {
            "env": setting.env,
            "name": setting.field,
            "value": plain(getattr(in_force.settings, setting.field)),
            "origin": in_force.origins[setting.field],
            "help": setting.help,
        }
        for setting in SETTINGS
    ]


def _serve(shell: Shell) -> list[dict[str, Any]]:
    """The options of servers; without what cannot be read, which is warned of."""
    from paddlesrv.server.defaults import OPTIONS, defaults

    try:
        found = defaults(shell.readable.file)
    except UsageError as error:
        shell.output.warning("; ".join([error.message, *error.hints]))
        found = defaults(environ={})
    return [
        {
            "env": option.env,
            "name": option.field,
            "value": plain(found.values[option.field]),
            "origin": found.origins[option.field],
            "help": option.help,
        }
        for option in OPTIONS
    ]


def plain(value: object) -> object:
    """A value as JSON has it, without the passwords of addresses."""
    from paddlesrv.zoo.network import mask

    if isinstance(value, str):
        return mask(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def shown(value: object) -> str:
    """A value for people."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def tell_problems(shell: Shell) -> None:
    """Warn of settings that cannot be read, for a command that goes on without them."""
    for problem in shell.readable.problems:
        shell.output.warning("; ".join([problem.message, *problem.hints]))


def _set(name: str) -> object:
    """What a variable is set to; None if it is unset or empty."""
    import os

    return plain(os.environ.get(name) or None)


def version(shell: Shell) -> None:
    """Show versions, engines, devices and the catalogue."""
    from paddlesrv.engines.devices import describe

    machine = describe()
    settings, origins = shell.readable.settings, shell.readable.origins
    record: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "engines": [
            {
                "name": build.engine,
                "package": build.distribution,
                "version": build.version,
                "cuda": build.cuda,
            }
            for build in machine.engines
        ],
        "devices": [
            {"device": "cpu", "name": machine.cpu.name, "cores": machine.cpu.cores},
            *(
                {"device": f"gpu:{gpu.index}", "name": gpu.name, "memory_bytes": gpu.memory_bytes}
                for gpu in machine.gpus.devices
            ),
        ],
        "catalogue": _catalogue(settings, origins["catalogue"]),
        "paths": {"cache": str(settings.cache_dir), "state": str(settings.state_dir)},
    }

    def human() -> None:
        pairs = [
            ("paddlesrv", __version__),
            ("python", record["python"]),
            ("platform", record["platform"]),
        ]
        pairs += [("engine", str(build)) for build in machine.engines]
        pairs.append(("cpu", f"{machine.cpu.name}, {machine.cpu.cores} cores"))
        pairs += [(f"gpu:{gpu.index}", gpu.name) for gpu in machine.gpus.devices]
        known = record["catalogue"]
        text = known.get("error") or f"{known['revision']}, {known['models']} models"
        pairs.append(("catalogue", f"{text} ({known['origin']})"))
        shell.output.pairs(pairs)

    shell.output.answer(record, names=[__version__], human=human)
    tell_problems(shell)


def _catalogue(settings: Settings, origin: str) -> dict[str, Any]:
    """What is known of the catalogue; one that cannot be read is no reason not to answer."""
    from paddlesrv.zoo.catalogue_choice import choose, load_catalogue

    path = settings.catalogue
    try:
        if origin == "default":
            choice = choose(settings)
            path, origin = choice.path, choice.origin
        catalogue = load_catalogue(settings)
    except PaddlesrvError as error:
        return {"origin": origin, "path": str(path), "error": error.message}
    return {
        "origin": origin,
        "path": str(catalogue.path),
        "revision": catalogue.revision,
        "models": len(catalogue.entries),
    }
