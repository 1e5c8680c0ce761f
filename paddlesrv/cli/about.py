"""`version` and `env`: what this program is, and what decides how it behaves."""

from __future__ import annotations

import platform
from typing import Any

import typer

from paddlesrv import __version__
from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell
from paddlesrv.settings import SETTINGS

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
    """Show the environment variables, and the values in force."""
    from paddlesrv.zoo.network import mask

    settings, origins = shell.in_force.settings, shell.in_force.origins
    rows = []
    for setting in SETTINGS:
        value = getattr(settings, setting.field)
        # An address may hold a password.
        shown = mask(value) if isinstance(value, str) else value
        rows.append((setting, shown, origins[setting.field]))
    paths = {
        "cache": settings.cache_dir,
        "state": settings.state_dir,
        "config": settings.config_dir,
    }

    def human() -> None:
        shell.output.table(
            ("VARIABLE", "VALUE", "ORIGIN", "MEANING"),
            [(s.env, _shown(value), origin, s.help) for s, value, origin in rows],
        )
        shell.output.line()
        shell.output.pairs((name, str(path)) for name, path in paths.items())

    shell.output.answer(
        {
            "settings": [
                {
                    "env": setting.env,
                    "name": setting.field,
                    "value": value if value is None or isinstance(value, bool) else str(value),
                    "origin": origin,
                    "help": setting.help,
                }
                for setting, value, origin in rows
            ],
            "paths": {name: str(path) for name, path in paths.items()},
        },
        names=[setting.env for setting in SETTINGS],
        human=human,
    )


def version(shell: Shell) -> None:
    """Show versions, engines, devices and the catalogue."""
    from paddlesrv.engines.devices import describe

    machine = describe()
    catalogue = shell.catalogue
    record: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
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
        "catalogue": {
            "revision": catalogue.revision,
            "models": len(catalogue.entries),
            "path": str(catalogue.path),
        },
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
        pairs.append(("catalogue", f"{catalogue.revision}, {len(catalogue.entries)} models"))
        shell.output.pairs(pairs)

    shell.output.answer(record, names=[__version__], human=human)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(int(value)) if isinstance(value, bool) else str(value)
