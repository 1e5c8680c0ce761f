"""How a mirror is laid out, for those who write one and those who read one.

MODEL/FILE       every source file, under the name of the model that it is for
SHA256SUMS       a digest of each, as `sha256sum -c` reads it
index.json       what is there, for programs
manifest.yaml    the catalogue that it was made of, with the files that come with it (`labels/`)

The digests tell a damaged copy from a good one. They are no proof of origin: whoever can change a
file of the mirror can change its digest as well. Origin is told by the digests that a catalogue
holds, or by those pinned at an earlier download.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from paddlesrv.errors import IntegrityError
from paddlesrv.zoo import network
from paddlesrv.zoo.small_files import read_small

if TYPE_CHECKING:
    import httpx

SUMS, INDEX, MANIFEST = "SHA256SUMS", "index.json", "manifest.yaml"
SUMS_BYTES_MAX = 16 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def url_of(mirror: str, *names: str) -> str:
    """The URL of a file of a mirror; a `file:` URL where the mirror is a directory."""
    if "://" in mirror:
        return "/".join((mirror.rstrip("/"), *(quote(name, safe="") for name in names)))
    return Path(mirror).expanduser().absolute().joinpath(*names).as_uri()


def render_sums(digests: Mapping[str, str]) -> str:
    """The text of SHA256SUMS: digest by path in the mirror."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))


def parse_sums(text: str) -> dict[str, str]:
    """Digest by path; lines of another form mean nothing."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {match[2]: match[1] for match in found if match}


class MirrorSums:
    """The digests that a mirror gives for its own files, read once when one is asked for."""

    def __init__(self, mirror: str) -> None:
        self._url = url_of(mirror, SUMS)
        self._sums: dict[str, str] | None = None

    def get(self, path: str, client: httpx.Client) -> str | None:
        """The digest of the file at MODEL/FILE; None if the mirror says none.

        Args:
            path: MODEL/FILE.
            client: What a mirror on a web server is asked with.

        Raises:
            SourceUnreachable: the mirror does not answer.
            IntegrityError: its SHA256SUMS is no such file.
        """
        if self._sums is None:
            self._sums = parse_sums(self._read(client))
        return self._sums.get(path)

    def _read(self, client: httpx.Client) -> str:
        data = read_small(client, self._url, SUMS_BYTES_MAX) or b""
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{network.mask(self._url)} is damaged: no text") from error
