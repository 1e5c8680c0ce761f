"""TLS on the server's ports."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    import grpc

# A client that takes HTTP/1.1 gets that: browsers offer both, and h2 here is gRPC, whose clients
# offer nothing else.
_ALPN = ["http/1.1", "h2"]


@dataclass(frozen=True)
class Tls:
    """A server's certificate, as Python's own connections and gRPC's library take it.

    `client_ca` holds those who sign clients' certificates, where clients need one.
    """

    context: ssl.SSLContext
    certificate: bytes
    key: bytes
    client_ca: bytes | None = None

    @classmethod
    def read(cls, certificate: str, key: str | None, client_ca: str | None = None) -> Tls:
        """The certificate, the key and those who sign clients' certificates, in these files.

        Raises:
            UsageError, IntegrityError: as `server_context`.
        """
        context = server_context(certificate, key, client_ca)
        chain = Path(certificate).read_bytes()
        return cls(
            context,
            chain,
            chain if key is None else Path(key).read_bytes(),
            None if client_ca is None else Path(client_ca).read_bytes(),
        )

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC speaks TLS with."""
        import grpc

        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)],
            root_certificates=self.client_ca,
            require_client_auth=self.client_ca is not None,
        )


def server_context(
    certificate: str, key: str | None, client_ca: str | None = None
) -> ssl.SSLContext:
    """What a server with that certificate speaks TLS with: 1.2 and later.

    Args:
        certificate: The server's own certificate and those up to the root's, PEM.
        key: Its private key, PEM; None where that is in the same file.
        client_ca: Certificates of those who sign clients' own, PEM: a client without such a one
            is not spoken with. None: clients need none.

    Raises:
        UsageError: a file cannot be read.
        IntegrityError: they hold no certificate and key, or not of one another.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    try:
        # Without a terminal nobody could answer for the key's password.
        context.load_cert_chain(certificate, key, password=lambda: _no_password(key or certificate))
    except ssl.SSLError as error:
        raise IntegrityError(
            "the certificate and its key cannot be used",
            context={
                "found": error.reason or str(error),
                "certificate": certificate,
                "key": key or certificate,
            },
            hints=["both are PEM files, and the key is the certificate's own"],
        ) from None
    except OSError as error:
        raise UsageError(
            f"the certificate or its key cannot be read: {error.strerror or error}",
            context={"certificate": certificate, "key": key or certificate},
        ) from None
    if client_ca is not None:
        _want_certificates(context, client_ca)
    return context


def _want_certificates(context: ssl.SSLContext, client_ca: str) -> None:
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise IntegrityError(
            "the certificates of those who sign clients' own cannot be used",
            context={"found": error.reason or str(error), "file": client_ca},
            hints=["--tls-client-ca takes certificates in PEM form"],
        ) from None
    except OSError as error:
        raise UsageError(
            f"the certificates of those who sign clients' own cannot be read: "
            f"{error.strerror or error}",
            context={"file": client_ca},
        ) from None
    context.verify_mode = ssl.CERT_REQUIRED


def _no_password(key: str) -> str:
    raise UsageError(
        f"the private key {key} is encrypted",
        hints=[f"take the password off: openssl pkey -in {key} -out plain.pem"],
    )
