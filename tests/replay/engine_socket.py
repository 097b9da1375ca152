"""A socket that answers as an engine's would, in a thread; what it answers is its handler's."""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class EngineSocket:
    """A server at a path until `close`; requests that wait for `ends` end with it."""

    def __init__(self, path: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self.url = f"unix://{path}"
        self.ends = threading.Event()
        self._server = _Server(str(path), type("Handler", (handler,), {"of": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.ends.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that was killed."""


class QuietHandler(BaseHTTPRequestHandler):
    """A handler of requests that come through a socket without an address, and that prints nothing."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        """Say nothing."""
