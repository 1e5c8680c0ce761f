"""A real, tiny HTTP proxy: absolute-form GET, and CONNECT tunnels."""

from __future__ import annotations

import selectors
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy:
    """Listens as long as its context lasts; `asked` are the request lines that it got."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Proxy:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.proxy.asked.append(f"GET {self.path}")
        parts = urlsplit(self.path)
        connection = HTTPConnection(parts.hostname, parts.port)
        connection.request("GET", parts.path, headers=dict(self.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("server", "date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        connection.close()
        self.close_connection = True

    def do_CONNECT(self) -> None:
        self.server.proxy.asked.append(f"CONNECT {self.path}")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            with selectors.DefaultSelector() as selector:
                ends = {self.connection: far, far: self.connection}
                for end in ends:
                    selector.register(end, selectors.EVENT_READ)
                while True:
                    for key, _events in selector.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            self.close_connection = True
                            return
                        ends[key.fileobj].sendall(data)

    def log_message(self, *arguments: object) -> None:
        pass
