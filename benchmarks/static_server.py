"""A static HTTP server on this machine: nginx where it is installed, else one of our own.

Both send files with sendfile(2) from a process of their own, so that they take little from what
is measured.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.systems import free_port

_NGINX = """
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr crit; {user}
events {{ }}
http {{
  access_log off; sendfile on; types {{ }} default_type application/octet-stream;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy;
  fastcgi_temp_path {scratch}/fastcgi; uwsgi_temp_path {scratch}/uwsgi;
  scgi_temp_path {scratch}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def kind() -> str:
    """Which server `serving` starts."""
    return "nginx" if shutil.which("nginx") else "own"


@contextlib.contextmanager
def serving(root: Path, scratch: Path) -> Iterator[str]:
    """Serve a directory while the context lasts; its URL."""
    port = free_port()
    if kind() == "nginx":
        user = "user root;" if os.geteuid() == 0 else ""
        config = scratch / "nginx.conf"
        config.write_text(_NGINX.format(scratch=scratch, port=port, root=root, user=user))
        command = ["nginx", "-p", str(scratch), "-e", "stderr", "-c", str(config)]
    else:
        command = [sys.executable, "-m", "benchmarks.static_server", str(root), str(port)]
    process = subprocess.Popen(command)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"the static server ended with {process.wait(0.05)}")


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def copyfile(self, source: object, outputfile: object) -> None:
        self.wfile.flush()
        self.connection.sendfile(source)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()
