"""What a check finds: the words, how bad it is, and what would help."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["ok", "off", "warn", "fail"]
"""`off` is what is not here and need not be."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check; `remedy` says what to do unless it is ok."""

    group: str
    status: Status
    text: str
    remedy: str | None = None
