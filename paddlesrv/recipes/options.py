"""What recipes share of their options: files that the catalogue names below the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddlesrv.errors import IntegrityError, PaddlesrvError
from paddlesrv.zoo.bounds import shown


def weights_file(source: Path, options: Mapping[str, Any], option: str = "weights") -> Path:
    """The file that an option names.

    Raises:
        PaddlesrvError: the option is missing: the catalogue is wrong.
        IntegrityError: the file is not among those that were fetched.
    """
    name = options.get(option)
    if not isinstance(name, str) or not name or name.startswith("/") or ".." in Path(name).parts:
        raise PaddlesrvError(f"the catalogue does not say which file the option {option!r} means")
    path = source / name
    if not path.is_file():
        found = sorted(str(p.relative_to(source)) for p in source.rglob("*") if p.is_file())
        raise IntegrityError(
            f"{shown(name)} is needed and was not fetched",
            context={"fetched": shown(", ".join(found[:8])) or "nothing"},
        )
    return path
