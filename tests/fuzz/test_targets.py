"""Every target takes what is sound, and refuses or reads what is damaged; and nothing else."""

from __future__ import annotations

import contextlib

import pytest

from tests.fuzz.targets import REFUSALS, TARGETS
from tests.unit.server.damage import damaged

PARTIAL = {"open-inference-json", "open-inference-grpc-typed", "pipeline-json", "pipeline-feed"}
"""Their sound messages lack inputs of the model, which is said after all of them was read."""


@pytest.mark.parametrize("name", TARGETS)
def test_sound_messages_are_read(name: str) -> None:
    for sound in TARGETS[name].sound:
        refusals = REFUSALS if name in PARTIAL or b"instances" in sound else ()
        with contextlib.suppress(*refusals):
            TARGETS[name].read(sound)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_messages_are_refused_or_read(name: str) -> None:
    target = TARGETS[name]
    for seed in range(400):
        with contextlib.suppress(*REFUSALS):
            target.read(damaged(seed, target.sound[seed % len(target.sound)]))
