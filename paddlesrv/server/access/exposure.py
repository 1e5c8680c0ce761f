"""What of a server's configuration must go together for it to be safe, and what is only a risk."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from paddlesrv.errors import UsageError
from paddlesrv.server.access.hosts import Hosts
from paddlesrv.server.access.key_file import read_keys
from paddlesrv.server.access.origins import Origins
from paddlesrv.server.config import ServerConfig
from paddlesrv.server.tls import server_context


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address.

    A name is the first address that it stands for, which is the one that is bound.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        address = str(found[0][4][0]).partition("%")[0]
        return ipaddress.ip_address(address).is_loopback
    except (OSError, ValueError):
        return False


def check_access(config: ServerConfig) -> None:
    """Refuse what cannot be meant so, before anything starts.

    Raises:
        UsageError: a file cannot be read; clients are to have certificates, and the server has
            none; or models could be loaded from other machines without a key.
        IntegrityError: a file is not what it must be.
    """
    if config.tls_cert is not None:
        server_context(config.tls_cert, config.tls_key, config.tls_client_ca)
    elif config.tls_client_ca is not None:
        raise UsageError(
            "clients cannot show certificates to a server without TLS",
            context={"found": "--tls-client-ca without --tls-cert"},
            hints=["give the server a certificate of its own: --tls-cert FILE --tls-key FILE"],
        )
    if config.api_key_file is not None:
        read_keys(Path(config.api_key_file))
    elif config.admin and not is_loopback(config.host):
        raise UsageError(
            "whoever reaches this server could load and unload its models",
            context={"found": f"--admin --host {config.host}", "wanted": "API keys, or no --admin"},
            hints=[
                "make a key that may: paddlesrv key new ops --admin --api-key-file keys",
                "and ask for it: --api-key-file keys",
            ],
        )
    Hosts.of(config.allow_host, loopback=is_loopback(config.host))
    Origins.of(config.cors_origin)


def warnings(config: ServerConfig) -> list[str]:
    """What whoever starts such a server should know, in words."""
    if is_loopback(config.host):
        return []
    found = []
    if config.api_key_file is None and config.tls_client_ca is None:
        found.append(
            f"WHOEVER REACHES {config.host} CAN USE THIS SERVER: it asks for no API key. "
            "Make one: paddlesrv key new NAME --api-key-file keys; then serve with "
            "--api-key-file keys. For this machine alone: --host 127.0.0.1"
        )
    if config.api_key_file is not None and config.tls_cert is None:
        found.append(
            f"API keys travel in clear to {config.host}: use --tls-cert, or a gateway before it "
            "that speaks TLS"
        )
    return found
