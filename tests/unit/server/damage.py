"""Damaged messages: what a codec must refuse, or read as another message, and never fail on."""

from __future__ import annotations

import random


def damaged(seed: int, message: bytes) -> bytes:
    """A message with some of its bytes changed, lost, doubled or put elsewhere; `seed` says how."""
    chance = random.Random(seed)
    data = bytearray(message)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = chance.randrange(len(data) + 1)
        length = chance.choice((1, 1, 2, 8, 40))
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[place % len(data)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            data[place:place] = chance.randbytes(length)
        else:
            del data[place:]
    return bytes(data)
