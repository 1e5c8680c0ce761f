"""`Pins`: digests of files whose publisher gives none, noted at the first download.

From then on the same address must give the same bytes: trust on first use.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo.locks import locked


class Pins:
    """The file `pins.json` of a store: key -> sha256."""

    def __init__(self, path: Path, lock: Path) -> None:
        self.path = path
        self._lock = lock

    def get(self, key: str) -> str | None:
        """The digest noted for the key, or None.

        Raises:
            IntegrityError: the file of pins is damaged.
        """
        return self._read().get(key)

    def note(self, key: str, sha256: str) -> None:
        """Note the digest of a first download, unless somebody has meanwhile.

        Raises:
            IntegrityError: somebody has, and it is another one.
        """
        with locked(self._lock, lambda: None):
            pins = self._read()
            if pins.setdefault(key, sha256) != sha256:
                raise IntegrityError(
                    f"{key} gave two different files at the same time",
                    context={"pinned": f"sha256 {pins[key]}", "got": f"sha256 {sha256}"},
                )
            scratch = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
            scratch.write_bytes(msgspec.json.format(msgspec.json.encode(pins), indent=2) + b"\n")
            scratch.replace(self.path)

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise IntegrityError(
                f"{self.path} is damaged: {error}",
                hints=[f"remove it, to trust the next downloads afresh: rm {self.path}"],
            ) from error
