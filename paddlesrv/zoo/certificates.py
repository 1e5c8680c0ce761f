"""Certificates that a package manager is told to trust instead of the system's."""

from __future__ import annotations

import ssl
from pathlib import Path

from paddlesrv.errors import SourceUnreachable


def verification(certificate: str | None, command: str) -> ssl.SSLContext | bool:
    """What an HTTP client verifies with: a file or directory of certificates, or the system's.

    Args:
        certificate: The file or directory, if one is named.
        command: What tells the user where it is named.

    Raises:
        SourceUnreachable: it cannot be read.
    """
    if certificate is None:
        return True
    try:
        if Path(certificate).is_dir():
            return ssl.create_default_context(capath=certificate)
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise SourceUnreachable(
            f"the certificate file {certificate} cannot be read: {error}",
            hints=[f"see where it is set: {command}"],
        ) from error
