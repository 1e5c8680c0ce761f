"""The account of a translation: one note for each key, and the fields that were taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

Outcome = Literal["taken", "nothing", "refused"]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one key: `text` says as what it is taken, or why it is not.

    `place` is that in the file (`op.uci.batch_size`). For a refused one, `hint` is what to do, and
    `device` tells that it is this machine or build that lacks what is asked for.
    """

    place: str
    value: Any
    outcome: Outcome
    text: str
    hint: str = ""
    device: bool = False


class Ledger:
    """Notes as they are made, and which field of ours each place of the file became."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}
        self.fields: dict[str, str] = {}
        """Place in the translation -> place in the file."""

    def take(self, place: str, value: Any, field: str, own: Any, more: str = "") -> None:
        """`field` (`port`, `models[0].device`) is `own`, because of this key."""
        self.fields[field] = place
        shown = f"{field.rpartition('.')[2]}: {own}"
        self._add(place, value, "taken", f"as {shown}; {more}" if more else f"as {shown}")

    def nothing(self, place: str, value: Any, why: str) -> None:
        """A key that means nothing here."""
        self._add(place, value, "nothing", why)

    def refuse(self, place: str, value: Any, why: str, hint: str, *, device: bool = False) -> None:
        """A key that cannot be expressed, and what to do."""
        self._add(place, value, "refused", why, hint, device)

    def close(self, data: Mapping[str, Any], lines: Mapping[str, int]) -> tuple[Note, ...]:
        """All notes in the file's order; keys without a value are noted as empty."""
        for place, value in leaves(data):
            if value is None or value == {}:
                self._notes.setdefault(
                    place, Note(place=place, value=None, outcome="nothing", text="it is empty")
                )
        return tuple(sorted(self._notes.values(), key=lambda note: lines.get(note.place, 0)))

    def _add(
        self, place: str, value: Any, outcome: Outcome, text: str, hint: str = "",
        device: bool = False,
    ) -> None:  # fmt: skip
        assert place not in self._notes, f"{place} is noted twice"
        self._notes[place] = Note(
            place=place, value=value, outcome=outcome, text=text, hint=hint, device=device
        )


def leaves(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key whose value is no mapping, or an empty one, by its place."""
    for name, value in data.items():
        place = f"{above}.{name}" if above else str(name)
        if isinstance(value, dict) and value:
            yield from leaves(value, place)
        else:
            yield place, value
