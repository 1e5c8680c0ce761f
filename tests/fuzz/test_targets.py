"""Every target takes what is sound, and refuses or reads what is damaged; and nothing else."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import REFUSALS, TARGETS
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
ROOM = 1 << 30
"""Bytes of memory that reading a message of a few kilobytes may take: one that wants more fails."""

PARTIAL = {"open-inference-json", "open-inference-grpc-typed", "pipeline-json", "pipeline-feed"}
"""Their sound messages lack inputs of the model, which is said after all of them was read."""


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", TARGETS)
def test_sound_messages_are_read(name: str) -> None:
    for sound in TARGETS[name].sound:
        refusals = REFUSALS if name in PARTIAL or b"instances" in sound else ()
        with contextlib.suppress(*refusals):
            TARGETS[name].read(sound)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_messages_are_refused_or_read(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """By bits and by structure in turns; the seed of one that breaks it is told."""
    target = TARGETS[name]
    refused = 0
    for seed in range(DAMAGED):
        damage = target.damage if seed % 2 else damaged
        sent = damage(seed, target.sound[seed // 2 % len(target.sound)])
        try:
            target.read(sent)
        except REFUSALS:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} for {sent!r:.2000}") from error
    record_property("refused", refused)
    assert refused, "nothing of that was damaged"
