"""`ps`, `logs`, `stop`: the servers that run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.output import human_size
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import NotFound, PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.server.records import Recorded, ServerRecord
    from paddlesrv.server.status import Status
    from paddlesrv.server.stopping import Stopped

PANEL = "Serving"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(
        app, "ps", panel=PANEL, examples=["paddlesrv ps", "paddlesrv ps -a", "paddlesrv ps --json"]
    )(ps)
    command(
        app,
        "logs",
        panel=PANEL,
        examples=["paddlesrv logs ocr", "paddlesrv logs ocr -f --tail 20"],
    )(logs)
    command(
        app,
        "stop",
        panel=PANEL,
        examples=["paddlesrv stop ocr", "paddlesrv stop --all", "paddlesrv stop ocr --force"],
    )(stop)


def ps(
    shell: Shell,
    every: Annotated[
        bool, typer.Option("-a", "--all", help="Those as well that ended without being asked to.")
    ] = False,
) -> None:
    """List the running servers: what they serve, where, and how busy they are.

    A server that was killed or failed stays listed with -a until `paddlesrv stop NAME`, or until
    another one takes its name. Offline, servers are not asked: what only they know is not shown.
    """
    from paddlesrv.server.status import last_line, statuses

    entries = _recorded(shell)
    dead = [entry.record for entry in entries if not entry.alive]
    shown = statuses(
        [entry for entry in entries if every or entry.alive], ask=not shell.settings.offline
    )

    def human() -> None:
        if shown:
            shell.output.table(_HEADERS, [_row(status) for status in shown])
        else:
            shell.output.note("no server runs; start one: paddlesrv serve MODEL -d")

    shell.output.answer(
        {"servers": [_record(status) for status in shown]},
        names=[status.record.name for status in shown],
        human=human,
    )
    for status in shown:
        if status.state == "dead":
            shell.output.note(f"{status.record.name} is dead: {status.reason}")
            line = last_line(status.record)
            if line is not None:
                shell.output.note(f"  its log ends: {line}")
    if dead and not every:
        shell.output.note(
            f"dead: {', '.join(record.name for record in dead)}; see: paddlesrv ps -a"
        )


def logs(
    shell: Shell,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `paddlesrv ps` shows it.")],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the server ends, or Ctrl-C.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only the last N lines of what is there.")
    ] = None,
) -> None:
    """Show what a detached server has logged."""
    from paddlesrv.server.logfile import log_path
    from paddlesrv.server.logreader import follow as follow_log
    from paddlesrv.server.logreader import read
    from paddlesrv.server.processes import Process
    from paddlesrv.server.records import checked_name

    if follow and shell.output.json:
        raise UsageError("--follow and --json together", hints=["leave one of them out"])
    path = log_path(shell.settings.state_dir, checked_name(name))
    record = _with_log(shell, name, path.is_file())
    process = Process.open(record.process) if follow and record is not None else None
    if process is not None:
        with process:
            for line in follow_log(path, process, tail):
                shell.output.line(line)
        return
    lines = read(path, tail)

    def human() -> None:
        for line in lines:
            shell.output.line(line)

    shell.output.answer({"name": name, "log": path, "lines": lines}, names=lines, human=human)


def stop(
    shell: Shell,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="As `paddlesrv ps` shows them."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="S", help="Wait so long; default: each server's --grace and 10 s."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Kill: at once, or with --timeout those that are left then."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be stopped; stop nothing.")
    ] = False,
) -> None:
    """Stop servers: they answer what they have accepted, and end."""
    from paddlesrv.server.stopping import stop as stop_servers

    entries = _chosen(shell, names or [], every)
    if dry_run:
        _tell_plan(shell, entries)
        return
    if not entries and not shell.output.json:
        shell.output.note("no server runs")
    alive = [entry.record.name for entry in entries if entry.alive]
    if alive:
        shell.output.note(f"{'killing' if force else 'stopping'} {', '.join(alive)}")
    shell.interrupted = "interrupted; what was asked to stop goes on stopping: paddlesrv ps"
    ended = list(stop_servers(shell.settings.state_dir, entries, seconds=timeout, force=force))
    _refuse_survivors(shell, ended)
    _tell_stopped(shell, ended)


_HEADERS = (
    "NAME", "MODELS", "URL", "STATE", "PID", "UP", "MEMORY", "REQUESTS", "AVG BATCH",
)  # fmt: skip


def _recorded(shell: Shell) -> list[Recorded]:
    from paddlesrv.server.records import recorded

    return recorded(shell.settings.state_dir, shell.output.warning)


def _row(status: Status) -> tuple[str, ...]:
    record = status.record
    dead = status.state == "dead"
    return (
        record.name,
        ",".join(record.asked or record.models),
        record.url,
        status.state,
        str(record.pid),
        "-" if dead else _duration(_seconds_up(record)),
        human_size(status.memory_bytes),
        "-" if status.requests is None else str(status.requests),
        "-" if status.average_batch is None else f"{status.average_batch:.1f}",
    )


def _record(status: Status) -> dict[str, Any]:
    record = status.record
    return {
        "name": record.name,
        "models": record.models,
        "asked": record.asked,
        "url": record.url,
        "state": status.state,
        "pid": record.pid,
        "started_at": record.started_at,
        "up_seconds": None if status.state == "dead" else round(_seconds_up(record), 1),
        "memory_bytes": status.memory_bytes,
        "requests": status.requests,
        "average_batch": status.average_batch,
        "detached": record.detached,
        "log": record.log,
        "command": record.command,
        "reason": status.reason,
    }


def _seconds_up(record: ServerRecord) -> float:
    return max(0.0, (datetime.now(timezone.utc) - record.started_at).total_seconds())


def _duration(seconds: float) -> str:
    """A time span for people: its largest unit alone."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _with_log(shell: Shell, name: str, log_there: bool) -> ServerRecord | None:
    """The server whose log is asked for; None if only its log is left.

    Raises:
        NotFound: there is no such server, or it logs to its own terminal.
    """
    from paddlesrv.server.records import named

    try:
        record = named(_recorded(shell), name).record
    except NotFound:
        if log_there:  # it has been stopped, or could not start
            return None
        raise
    if record.log is None:
        raise NotFound(
            f"the log of {name} is in its own terminal",
            context={"found": f"pid {record.pid}: {record.command}"},
            hints=["a server that is started with -d keeps one: paddlesrv serve MODEL -d"],
        )
    return record


def _chosen(shell: Shell, names: Sequence[str], every: bool) -> list[Recorded]:
    """The servers that are meant.

    Raises:
        UsageError: none is named, or some and all.
        NotFound: there is none of that name.
    """
    from paddlesrv.server.records import named

    if bool(names) == every:
        raise UsageError(
            "names and --all together" if every else "no server named",
            hints=["see them: paddlesrv ps", "stop all: paddlesrv stop --all"],
        )
    entries = _recorded(shell)
    return entries if every else [named(entries, name) for name in dict.fromkeys(names)]


def _in_words(ended: Stopped) -> str:
    after = f" after {ended.seconds:.1f} s" if ended.outcome in ("stopped", "killed") else ""
    removed = "; its record is removed" if ended.outcome == "was dead" else ""
    return f"{ended.record.name}: {ended.outcome}{after}{removed}"


def _tell_plan(shell: Shell, entries: Sequence[Recorded]) -> None:
    def human() -> None:
        for entry in entries:
            would = "would be stopped" if entry.alive else "is dead; its record would be removed"
            shell.output.line(f"{entry.record.name}: {would}")

    shell.output.answer(
        {
            "dry_run": True,
            "servers": [
                {"name": e.record.name, "pid": e.record.pid, "alive": e.alive} for e in entries
            ],
        },
        names=[entry.record.name for entry in entries],
        human=human,
    )


def _tell_stopped(shell: Shell, ended: Sequence[Stopped]) -> None:
    def human() -> None:
        for one in ended:
            shell.output.line(_in_words(one))

    shell.output.answer(
        {
            "servers": [
                {
                    "name": one.record.name,
                    "pid": one.record.pid,
                    "outcome": one.outcome,
                    "seconds": round(one.seconds, 3),
                }
                for one in ended
            ]
        },
        names=[one.record.name for one in ended],
        human=human,
    )


def _refuse_survivors(shell: Shell, ended: Sequence[Stopped]) -> None:
    """Fail if a server has not ended; what became of the others is said first.

    Raises:
        PaddlesrvError: it runs still.
    """
    survivors = [one for one in ended if one.outcome in ("still running", "elsewhere")]
    if not survivors:
        return
    for one in ended:
        if one not in survivors:
            shell.output.note(_in_words(one))
    elsewhere = [one.record.name for one in survivors if one.outcome == "elsewhere"]
    if elsewhere:
        raise PaddlesrvError(
            f"{', '.join(elsewhere)} runs in another container or on another machine",
            hints=["stop it there, with the same command"],
        )
    left = " ".join(one.record.name for one in survivors)
    raise PaddlesrvError(
        f"still running: {left}",
        context={
            one.record.name: f"pid {one.record.pid}, {one.seconds:.1f} s" for one in survivors
        },
        hints=[f"kill what is left: paddlesrv stop {left} --force"],
    )
