"""The record of a server that was killed."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, ServerRecord


def write_dead(state_dir: Path, name: str) -> None:
    """Leave a record behind whose process has ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        identity = ProcessIdentity.of(process.pid)
        assert identity is not None
    claim = Claim.take(state_dir, name)
    claim.write(
        ServerRecord(
            name=name,
            process=identity,
            started_at=datetime.now(timezone.utc),
            host="127.0.0.1",
            port=1,
            url="http://127.0.0.1:1",
            models=(name,),
            directories=(),
        )
    )
    claim.hand_over()
