"""The load in a process of its own, so that it shares no interpreter with what it measures."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec

from paddlesrv.bench.load import Job, Result, run
from paddlesrv.errors import PaddlesrvError
from paddlesrv.isolated import die_with, run_isolated

_STARTING = 60.0
"""Seconds for the process to start and to end, beside the load itself."""


class _Request(msgspec.Struct, frozen=True):
    job: Job
    result: str


def generate(job: Job) -> Result:
    """Make the load, and wait until it is over.

    Raises:
        PaddlesrvError: the generator failed.
    """
    with tempfile.TemporaryDirectory(prefix="paddlesrv-bench-") as directory:
        result = Path(directory, "result")
        limit = job.warm_up + job.seconds + job.timeout + _STARTING
        ended = run_isolated("paddlesrv.bench.generator", _Request(job, str(result)), limit)
        if ended.status != 0 or not result.is_file():
            raise PaddlesrvError(
                f"the load generator {ended.how}", context={"last words": ended.tail[-500:]}
            )
        return msgspec.msgpack.decode(result.read_bytes(), type=Result)


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=_Request)
    try:
        import uvloop
    except ImportError:
        found = asyncio.run(run(request.job))
    else:
        found = uvloop.run(run(request.job))
    Path(request.result).write_bytes(msgspec.msgpack.encode(found))


if __name__ == "__main__":
    main()
