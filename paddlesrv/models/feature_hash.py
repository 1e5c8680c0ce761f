"""From a categorical feature to an id: a hash that is the same in every process, for ever.

The id of value V (as text) in slot S (counted from 0) among N ids is

    BLAKE2b, 8 bytes long, of the UTF-8 text "S=V", as a little-endian number, modulo N

BLAKE2b is RFC 7693; every language has it, so that whoever trains a network can use the same ids.
Paddle Serving's examples used Python's own `hash`, whose seed is another one in each process:
networks that were trained with it understand only the ids of that process.
"""

from __future__ import annotations

import hashlib


def feature_id(slot: int, value: str, ids: int) -> int:
    """The id of a value, from 0 to `ids` - 1.

    Args:
        slot: The number of the feature, counted from 0.
        value: Its value.
        ids: How many ids the network knows.
    """
    digest = hashlib.blake2b(f"{slot}={value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % ids
