"""What was chosen with `--engine auto`, and why, as `info` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddlesrv.engines.candidates import Evidence
    from paddlesrv.engines.choice import Choice


def choice_pairs(choices: list[Choice]) -> list[tuple[str, str]]:
    """Each choice, its reason, and what was found out about every candidate."""
    from paddlesrv.engines.choice import in_force

    pairs = []
    for choice in choices:
        wanted = choice.wanted
        threads = f"{choice.threads} thread{'s' if choice.threads != 1 else ''}"
        here = "" if in_force(choice) else "; not in force: made elsewhere or with other engines"
        pairs += [
            (
                "engine",
                f"{choice.short} for {wanted.device} in {wanted.precision}, {threads}{here}",
            ),
            ("  chosen", f"{choice.when:%Y-%m-%d %H:%M} UTC: {choice.why}"),
        ]
        pairs += [(f"  {found.candidate}", _found(found)) for found in choice.evidence]
    return pairs


def choice_records(choices: list[Choice]) -> list[dict[str, Any]]:
    """The same for programs."""
    import msgspec

    from paddlesrv.engines.choice import in_force

    return [msgspec.to_builtins(choice) | {"in_force": in_force(choice)} for choice in choices]


def _found(evidence: Evidence) -> str:
    parts = []
    if evidence.refused is not None:
        parts.append(f"refused: {evidence.refused}")
    if evidence.difference is not None:
        parts.append(f"differs by {evidence.difference:.1e}")
    for timing in evidence.timings:
        threads = f"{timing.threads} thread{'s' if timing.threads != 1 else ''}"
        parts.append(f"batch {timing.rows}, {threads}: {timing.seconds * 1e3:.3g} ms")
    return "; ".join(parts) or "not measured"
