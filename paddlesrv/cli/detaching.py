"""What `serve` does besides serving: a server's name, and handing it to a process of its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.cli.output import Output
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import Busy, PaddlesrvError

if TYPE_CHECKING:
    from paddlesrv.engines.base import EngineOptions
    from paddlesrv.server.config import ModelConfig, ServerConfig
    from paddlesrv.server.locate import Located
    from paddlesrv.server.ports import Ports
    from paddlesrv.server.records import Claim, ServerRecord
    from paddlesrv.server.run import Started


class Naming:
    """The name of the server that is to start: the one asked for, or one made of its models."""

    def __init__(
        self, output: Output, state_dir: Path, asked: str | None, located: Sequence[Located]
    ) -> None:
        from paddlesrv.server.records import checked_name, name_for

        self._out = output
        self._state_dir = state_dir
        self._asked = checked_name(asked) if asked is not None else None
        self.name = asked or name_for(
            model.asked if model.by_alias else model.config.name for model in located
        )

    def take(self, must: bool) -> Claim | None:
        """Take the name against other servers; None where nothing can be written down.

        Raises:
            Busy: a server of the name that was asked for runs.
            PaddlesrvError: nothing can be written down, and it must be.
        """
        from paddlesrv.server.records import Claim

        take = Claim.take if self._asked is not None else Claim.take_free
        try:
            claim = take(self._state_dir, self.name)
        except OSError as error:
            where = {"found": f"{error.strerror or error}: {self._state_dir}"}
            if must:
                raise PaddlesrvError(
                    "a detached server needs a place for its record and its log",
                    context=where,
                    hints=[
                        "keep it in this terminal: leave -d out",
                        "or name another place: PADDLESRV_HOME=DIRECTORY",
                    ],
                ) from None
            self._out.warning(
                f"ps, stop and rm will not know of this server ({where['found']})",
            )
            return None
        self.name = claim.name
        return claim

    def look(self) -> None:
        """Refuse a name that is taken, without taking one: for a dry run.

        Raises:
            Busy: a server of the name that was asked for runs.
        """
        from paddlesrv.server.records import running

        taken = {record.name for record in running(self._state_dir, self._out.warning)}
        if self._asked in taken:
            raise Busy(
                f"a server called {self._asked!r} is running",
                hints=["see it: paddlesrv ps", "or choose another name: --name NAME"],
            )
        wanted, number = self.name, 1
        while self.name in taken:
            number += 1
            self.name = f"{wanted}-{number}"


def shown_command(argv: Sequence[str]) -> str:
    """The command line as it may be written down: passwords in addresses are not."""
    from paddlesrv.zoo.network import mask

    return shlex.join(["paddlesrv", *(mask(word) for word in argv)])


def start_detached(
    shell: Shell,
    config: ServerConfig,
    located: Sequence[Located],
    parts: Mapping[str, ModelConfig],
    options: Mapping[str, EngineOptions],
    record: ServerRecord,
    ports: Ports,
    claim: Claim,
    key: bytes | None = None,
) -> tuple[ServerRecord, Started]:
    """Start the server in a process of its own, and wait until it is ready.

    Raises:
        PaddlesrvError: it could not start; the end of its log was shown.
    """
    from msgspec.structs import replace

    from paddlesrv.server.daemon import Job
    from paddlesrv.server.detach import DetachedServer
    from paddlesrv.server.logfile import begin
    from paddlesrv.server.run import Started

    assert record.log is not None, "a detached server has a log"
    # A directory means the same wherever it is read.
    models = tuple(
        replace(model.config, path=str(model.place)) if model.place else model.config
        for model in located
    )
    job = Job(
        settings=shell.settings,
        config=replace(config, models=models),
        record=record,
        parts=dict(parts),
        options=dict(options),
        grpc=ports.grpc,
        verbose=shell.flags.verbose,
        key=key,
    )
    try:
        log = begin(record.log)
    except OSError as error:
        raise PaddlesrvError(
            "the log of a detached server cannot be written",
            context={"found": f"{error.strerror or error}: {record.log}"},
            hints=["keep it in this terminal: leave -d out"],
        ) from None
    shell.interrupted = f"interrupted; {record.name}, which was being started, is stopped"
    server: DetachedServer | None = None
    try:
        server = DetachedServer.start(job, ports, claim, log)
        shell.output.note(f"starting {record.name} (pid {server.pid}), log {record.log}")
        ready = server.wait()
    except PaddlesrvError:
        for line in server.last_words() if server is not None else ():
            shell.output.note(f"  | {line}")
        raise
    except BaseException:  # Ctrl-C, or a closed pipe: nobody would know of it
        if server is not None:
            server.abandon()
        raise
    finally:
        os.close(log)
    shell.interrupted = "interrupted"
    mine = replace(record.process, pid=server.pid)
    started = Started(record.url, ready.load_seconds, ready.warm_up_seconds)
    return replace(record, process=mine), started
