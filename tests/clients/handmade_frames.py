"""A server of bRPC's frames made by hand, which does to its clients what they must survive."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paddlesrv_client.wire.baidu_std import Frame, FrameReader

Answer = Callable[[Frame], "bytes | None"]
"""What is said to a frame; nothing yet, if it is None; an empty answer closes the connection."""


@contextmanager
def frames(*answers: Answer) -> Iterator[tuple[str, list[Frame]]]:
    """A server of frames: what it says to each, the last to all others; and what came."""
    came: list[Frame] = []
    left = list(answers)

    def talk(connection: socket.socket) -> None:
        reader = FrameReader(1 << 20)
        with connection, suppress(OSError):
            while data := connection.recv(1 << 16):
                for frame in reader.feed(data):
                    came.append(frame)
                    said = (left.pop(0) if len(left) > 1 else left[0])(frame)
                    if said == b"":
                        return
                    connection.sendall(said or b"")

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}", came
        finally:
            listening.shutdown(socket.SHUT_RDWR)
