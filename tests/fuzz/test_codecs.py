"""Damaged messages for every codec: the protocol's own refusal, or another sound message.

`PADDLESRV_FUZZ_EXAMPLES` says how many for each; a long run is 50,000 and more. A failure names the
seed of its message, and `test_codecs.py -k NAME` with `PADDLESRV_FUZZ_FROM=SEED` begins there.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddlesrv.errors import PaddlesrvError
from tests.fuzz.codecs import CODECS, Codec

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
FIRST = int(os.environ.get("PADDLESRV_FUZZ_FROM", "0"))
ROOM = 1 << 30
"""Bytes of memory that reading a message of a few kilobytes may take: one that wants more fails."""


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_damage_is_refused_or_another_message(
    codec: Codec, record_property: Callable[[str, object], None]
) -> None:
    codec.read(codec.make(None))
    refused = 0
    with little_memory():
        for seed in range(FIRST, FIRST + DAMAGED):
            sent = codec.make(seed)
            try:
                codec.read(sent)
            except PaddlesrvError as error:
                if not 400 <= error.http_status < 500:
                    raise AssertionError(f"seed {seed}: {error!r} for {sent!r:.2000}") from error
                refused += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r} for {sent!r:.2000}") from error
    record_property("refused", refused)
    record_property("accepted", DAMAGED - refused)
    assert refused, "nothing of that was damaged"
