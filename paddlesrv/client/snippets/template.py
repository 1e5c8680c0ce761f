"""Templates of programs: texts with `{{places}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import indent

_PLACE = re.compile(r"^([ \t]*)\{\{([a-z]+)\}\}\n|\{\{([a-z]+)\}\}", re.MULTILINE)


def fill(template: str, places: Mapping[str, str]) -> str:
    """The template with values in their places, none of which is looked into again.

    A place that has a line of its own may take several lines, which are indented as it is; with
    nothing to put there, the line goes.

    Raises:
        KeyError: the template has a place that nothing is known for.
    """

    def put(match: re.Match[str]) -> str:
        alone, within = match[2], match[3]
        if within is not None:
            return places[within]
        value = places[alone]
        return indent(value, match[1]) + "\n" if value else ""

    return _PLACE.sub(put, template)
