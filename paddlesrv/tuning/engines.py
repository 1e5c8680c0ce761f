"""Which engines may serve a network: all that were found to answer as the one it is made for."""

from __future__ import annotations

from paddlesrv.server.deciding import Decisions
from paddlesrv.tuning.candidates import Way


def ways(decided: Decisions, model: str) -> tuple[Way, ...]:
    """The engines that may be tried for a network, the one that runs it now first.

    Those are the candidates of its choice that were measured and not refused. Where nothing was
    chosen (an engine is named, int8), it is that one alone.
    """
    options = decided.options[model]
    found = [Way(options.engine, options.variant, options.precision)]
    choice = decided.choices.get(model)
    if choice is not None:
        found += [
            Way(each.candidate.engine, each.candidate.variant, options.precision)
            for each in choice.evidence
            if each.refused is None and each.timings
        ]
    return tuple(dict.fromkeys(found))
