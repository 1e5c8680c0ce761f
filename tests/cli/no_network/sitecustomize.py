"""Loaded by Python at its start where this directory is on its path: nobody gets a connection.

Every attempt is refused, and written down, since a program might swallow the refusal. Listening,
Unix sockets and addresses that are numbers already are nobody else's business.
"""

import ipaddress
import os
import sys
from pathlib import Path


def _refuse(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path, or none
            return
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        address = arguments[0]
        if event == "socket.getaddrinfo" and _is_number(address):
            return
    else:
        return
    with Path(os.environ["CONNECTIONS_SEEN"]).open("a") as file:
        file.write(f"{event} {address} by {sys.argv}\n")
    raise ConnectionRefusedError(f"{event} {address} is forbidden here")


def _is_number(host: object) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return host in (None, "localhost")
    return True


sys.addaudithook(_refuse)
