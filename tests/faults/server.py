"""A server of a trial's trees as archives, on an address of this machine, with faults of its own."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults import scenarios

ROUTE = "GET"


@dataclass(frozen=True)
class ServerFault:
    """A fault of the server at the `number`-th request.

    `lost` closes the connection without an answer, `cut` sends half of the file, `empty` nothing of it, `error 503`
    refuses, `another` sends the other tree, as one that was put there meanwhile, `gone` answers no more at all.
    """

    number: int
    how: str


class Server(ThreadingHTTPServer):
    """The server, which counts its requests; ranges are answered, so that a download goes on where it was cut."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault: ServerFault | None = None
        self.fired = ""
        self.is_gone = False
        self.requests: Counter[str] = Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def arm(self, fault: ServerFault | None) -> None:
        """Take the fault that is to come, or none; be there again."""
        self.fault, self.fired, self.is_gone = fault, "", False
        self.requests.clear()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def due(self) -> str:
        """Count a request; return the fault that it is to have, or nothing."""
        with self.lock:
            self.requests[ROUTE] += 1
            if self.is_gone:
                return "lost"
            if self.fault is None or self.fired or self.fault.number != self.requests[ROUTE]:
                return ""
            self.fired = f"{self.fault.how} at request {self.fault.number} of the server"
            self.is_gone = self.fault.how == "gone"
            return "lost" if self.is_gone else self.fault.how

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that was killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        how = self.server.due()
        self.close_connection = True
        if how == "lost":
            return
        if how == "error 503":
            self.send_error(503)
            return
        name = self.path.strip("/").removesuffix(".tar.gz")
        if how == "another":
            name = next(one for one in scenarios.TREES if one != name)
        self._send(scenarios.archive(name), how)

    def _send(self, content: bytes, how: str) -> None:
        begin = self._begin(content)
        self.send_response(206 if begin else 200)
        self.send_header("ETag", _tag(content))
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = {"cut": (begin + len(content)) // 2, "empty": begin}.get(how, len(content))
        with contextlib.suppress(OSError):
            self.wfile.write(content[begin:end])

    def _begin(self, content: bytes) -> int:
        """Return the first byte that is asked for: of a range only if the file is still of the version asked for."""
        if self.headers.get("If-Range") != _tag(content):
            return 0
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'
