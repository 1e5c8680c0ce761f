"""What `tune` found for a model, as `info` and `config show` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlesrv.tuning.record import Tuned


def tuned_pairs(records: list[Tuned]) -> list[tuple[str, str]]:
    """Each record, and why it is one."""
    if not records:
        return []
    from paddlesrv.tuning.record import in_force

    pairs = []
    for record in records:
        wishes = record.wishes
        callers = f"{wishes.concurrency} caller{'s' if wishes.concurrency != 1 else ''}"
        within = f" within {wishes.limit_ms:g} ms" if wishes.limit_ms is not None else ""
        here = "" if in_force(record) else "; not in force: made elsewhere or with other engines"
        pairs += [
            ("tuned", f"{record.chosen} on {record.device}{here}"),
            (
                "  chosen",
                f"{record.when:%Y-%m-%d %H:%M} UTC for {wishes.objective}{within} with {callers}"
                f"{f' of {record.target}' if record.target != record.model else ''}: {record.why}",
            ),
        ]
    return pairs


def tuned_records(records: list[Tuned]) -> list[dict[str, Any]]:
    """The same for programs."""
    if not records:
        return []
    import msgspec

    from paddlesrv.tuning.record import in_force

    return [msgspec.to_builtins(record) | {"in_force": in_force(record)} for record in records]
