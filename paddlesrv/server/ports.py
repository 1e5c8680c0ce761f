"""Where a server listens: taken before any model is fetched or loaded, so that a port that is in
use is told at once.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from paddlesrv.errors import Busy, UsageError
from paddlesrv.server.config import ServerConfig

BACKLOG = 2048


@dataclass(frozen=True)
class Ports:
    """The listening sockets of one server.

    `grpc` is only an address: gRPC's library takes no socket of ours, and binds one of its own
    when the server starts. That it was free was seen here.
    """

    main: socket.socket
    brpc: socket.socket | None = None
    grpc: tuple[str, int] | None = None

    def url(self, tls: bool = False) -> str:
        """The address of the server."""
        host, port = self.main.getsockname()[:2]
        scheme = "https" if tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def sockets(self) -> list[socket.socket]:
        """Those that another process can be given."""
        return [self.main, *([self.brpc] if self.brpc is not None else [])]

    @classmethod
    def inherited(cls, descriptors: Sequence[int], grpc: tuple[str, int] | None) -> Ports:
        """Those that another process has given, in the order of `sockets`."""
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        return cls(sockets[0], sockets[1] if len(sockets) > 1 else None, grpc)

    def close(self) -> None:
        """Listen no more."""
        for bound in self.sockets:
            bound.close()


def take_ports(config: ServerConfig) -> Ports:
    """Bind every port of a configuration; port 0 takes a free one.

    Raises:
        Busy: another process listens there; the error's `wanted` names the flags.
        UsageError: the address is none of this machine's, or not allowed.
    """
    main = bind(config.host, config.port, "--port")
    try:
        grpc = None
        if config.grpc_port is not None:
            with bind(config.host, config.grpc_port, "--grpc-port") as probe:
                grpc = (config.host, probe.getsockname()[1])
        brpc = None
        if config.brpc_port is not None:
            brpc = bind(config.host, config.brpc_port, "--brpc-port")
    except BaseException:
        main.close()
        raise
    return Ports(main, brpc, grpc)


def bind(host: str, port: int, flag: str = "--port") -> socket.socket:
    """A listening address; `flag` is what chose its port.

    Raises:
        Busy, UsageError: as `take_ports`.
    """
    try:
        return _listening(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else port - 1
            raise Busy(
                f"port {port} on {host} is in use",
                context={"wanted": f"--host {host} {flag} {port}"},
                hints=[f"take any free port: {flag} 0", f"take another one: {flag} {other}"],
            ) from None
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hints=["--host takes an address of this machine, e.g. 127.0.0.1 or 0.0.0.0"],
        ) from None


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
