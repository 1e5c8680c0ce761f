"""`Crew`: several connections that bring the pieces of one file, as long as the server keeps to
what it has proven: the same file, in the very ranges that were asked for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paddlesrv.zoo import network
from paddlesrv.zoo.answers import content_range, encoding, strong_etag
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.partial import Partial, PieceWriter
from paddlesrv.zoo.pieces import Piece, Pieces
from paddlesrv.zoo.progress import Observer

if TYPE_CHECKING:
    import httpx

CONNECTIONS = 4
_REFUSES_MORE = frozenset({429, 503})


class RangesBroken(Exception):
    """The server has answered a range with something else."""


class Crew:
    """Brings what is missing of a file. Made for one transfer, and used once."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        partial: Partial,
        etag: str,
        *,
        retry: Retry,
        observer: Observer,
        model: str,
    ) -> None:
        """Take the transfer over.

        Args:
            client: Used from several threads.
            url: Where the file is.
            partial: Where it goes; its pieces have begun.
            etag: The strong validator that every answer must be of.
            retry: For failures in a row of all connections together.
            observer: Is told of bytes.
            model: Name for the observer.
        """
        assert partial.pieces is not None, "pieces have begun"
        self._client = client
        self._url = url
        self._partial = partial
        self._pieces: Pieces = partial.pieces
        self._etag = etag
        self._retry = retry
        self._observer = observer
        self._model = model
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._proved = threading.Event()
        """Set by the first answer that is as asked for; one connection alone asks until then."""
        self._error: BaseException | None = None
        self._failures = 0
        self._alone = False

    def bring(self, connections: int = CONNECTIONS) -> None:
        """Return once every piece is here.

        Raises:
            RangesBroken: the server does not keep to ranges; what came is right all the same.
            httpx.HTTPError: it broke off too often, or refused.
            OSError: the disk is full, or broken.
        """
        # Daemonic, and with writers of their own: an interrupted program leaves them behind, and
        # what they may still write is what was asked for.
        writers = [self._partial.writer() for _ in range(connections)]
        threads = [
            threading.Thread(target=self._work, args=(writer,), daemon=True, name=f"range-{n}")
            for n, writer in enumerate(writers)
        ]
        try:
            threads[0].start()
            self._proved.wait()
            for thread in threads[1:]:
                thread.start()
            for thread in threads:
                thread.join()
            if self._pieces.here < self._pieces.total and self._error is None:
                # Connections that were refused have left; the last one stays to the end.
                self._alone = True
                self._work(self._partial.writer())
        finally:
            self._over.set()
            for thread, writer in zip(threads, writers, strict=True):
                if thread.ident is None:
                    writer.close()  # of a thread that never came to begin
        if self._error is not None:
            raise self._error

    def _work(self, writer: PieceWriter) -> None:
        try:
            while not self._over.is_set() and (piece := self._pieces.claim()) is not None:
                try:
                    goes_on = self._attempt(piece, writer)
                finally:
                    self._pieces.release(piece)
                if not goes_on:
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by `bring`, in its thread
            self._end(error)
        finally:
            self._proved.set()
            writer.close()

    def _attempt(self, piece: Piece, writer: PieceWriter) -> bool:
        """One request for a piece; False if this connection is one too many."""
        import httpx

        try:
            self._receive(piece, writer)
        except httpx.HTTPError as error:
            return self._wait(error)
        return True

    def _receive(self, piece: Piece, writer: PieceWriter) -> None:
        import httpx

        headers = {"Range": f"bytes={piece.start}-{piece.end - 1}", "If-Range": self._etag}
        offset = piece.start
        with network.stream(self._client, self._url, headers) as response:
            if response.status_code not in (200, 206, 416):
                response.raise_for_status()
            self._check(response, piece)
            self._proved.set()
            for chunk in response.iter_raw():
                if self._over.is_set():
                    return
                if len(chunk) > piece.end - offset:
                    raise RangesBroken
                writer.write(piece, offset, chunk)
                offset += len(chunk)
                with self._lock:
                    self._failures = 0
                    self._observer.bytes(self._model, self._pieces.here, self._pieces.total)
        if offset < piece.end:
            raise httpx.RemoteProtocolError("the answer ended early")

    def _check(self, response: httpx.Response, piece: Piece) -> None:
        part = content_range(response)
        if (
            response.status_code != 206
            or part is None
            or (part.first, part.last) != (piece.start, piece.end - 1)
            or part.total not in (None, self._pieces.total)
            or strong_etag(response) not in (None, self._etag)
            or encoding(response) is not None
            or (self._url.startswith("https:") and response.url.scheme != "https")
        ):
            raise RangesBroken

    def _wait(self, error: httpx.HTTPError) -> bool:
        """Wait before another try; False where the others can do without this connection."""
        import httpx

        with self._lock:
            if (
                isinstance(error, httpx.HTTPStatusError)
                and error.response.status_code in _REFUSES_MORE
                and not self._alone
            ):
                return False
            self._failures += 1
            seconds = network.seconds_to_wait(error, self._failures, self._retry)
        if seconds is None or not network.is_worth_retrying(error):
            raise error
        self._over.wait(seconds)
        return True

    def _end(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None and not self._over.is_set():
                self._error = error
            self._over.set()
