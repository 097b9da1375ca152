"""A container engine without containers: it speaks Docker's API on a socket, and answers for cells what was recorded.

Its own faults (see `EngineFault`) are set by request: the N-th one of a route is not answered, or not as it should be.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import json
import re
import socket
import struct
import termios
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from matrix.engine.api import LABEL
from matrix.engine.cache import KEPT
from tests.faults.engine_api import KILLED, POINTS, FakeContainer, Query, RefusedError, Stream, route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

READ_S = 10


@dataclass(frozen=True)
class EngineFault:
    """A fault of the engine at the `number`-th request of a route, as `POST /volumes/create`.

    `lost` closes the connection and does nothing, `unanswered` does the work and closes then, `cut` sends half of the
    answer, `error 500` refuses, `hang` says nothing until the engine is closed, `gone` and all later connections are
    refused, `restart` ends all containers and connections, `interrupt` interrupts the command and does the work.
    """

    route: str
    number: int
    how: str


@dataclass
class FakeEngine:
    """Docker's API as far as a run uses it.

    `trees` maps the volume of each tree to `good` or `bad`, `packages` the name of a package to what a script fetches.
    """

    path: Path
    fault: EngineFault | None = None
    fired: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    archives: dict[str, set[str]] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)
    packages: Mapping[str, bytes] = field(default_factory=dict)
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    programs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.over = threading.Event()
        self._made = 0
        self.interrupt: Callable[[], None] = lambda: None
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self.listen()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def listen(self) -> None:
        """Take connections, until `deafen` or `close`."""
        self.over.clear()
        listener = self._listener = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        listener.bind(str(self.path))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):  # the client was killed
            _Handler(connection, "socket", self)  # type: ignore[arg-type] # the base class knows servers of its own
        with self.lock:
            self._connections.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def arm(self, fault: EngineFault | None) -> None:
        """Take the fault that is to come, or none, and count requests from now on."""
        self.fault, self.fired = fault, ""
        self.requests.clear()

    def deafen(self) -> None:
        """Refuse all connections from now on."""
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Refuse all connections, and cut those that there are."""
        self.deafen()
        self.over.set()
        self.cut_connections()

    def cut_connections(self) -> None:
        with self.lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def restart(self) -> None:
        """End all containers, as a restart of the daemon does without live restore."""
        for container in self.containers.values():
            container.exit_code = KILLED if container.running else container.exit_code
            container.running = False
        self.cut_connections()

    def new_id(self) -> str:
        self._made += 1
        return hashlib.sha256(f"{self._made}".encode()).hexdigest()

    def add_volume(self, name: str, labels: dict[str, str], options: dict[str, str]) -> dict[str, Any]:
        """Return the volume of this name, which is made if there is none."""
        made = {"Name": name, "Labels": labels, "Options": options, "Mountpoint": f"{POINTS}/{name}"}
        return self.volumes.setdefault(name, made)

    def left(self) -> list[str]:
        """Return the containers and volumes that belong to a run or a process, and are no cache."""
        labels = {one.id: one.labels for one in self.containers.values()}
        labels |= {name: volume["Labels"] for name, volume in self.volumes.items()}
        return [f"{name[:20]} {found}" for name, found in labels.items() if found.get(LABEL) not in KEPT]


class _LostError(Exception):
    """The connection is to be closed without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeEngine  # type: ignore[assignment] # the base class knows servers of its own

    @property
    def engine(self) -> FakeEngine:
        return self.server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _handle(self) -> None:
        split = urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+", "", split.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        body = self._body()
        action, values, name = route(self.command, path)
        try:
            self._do(action, values, query, body, self._due(name))
        except _LostError:
            self.close_connection = True
        except RefusedError as error:
            self._send(error.status, {"message": str(error)})

    def _do(self, action: Callable[..., Any], values: list[str], query: Query, body: bytes, how: str) -> None:
        """Do what a request asks for and answer it, or what its fault has come of it."""
        if how == "lost":
            raise _LostError
        if how == "error 500":
            raise RefusedError(500, "an injected failure: no space left on device")
        with self.engine.lock:
            answer = action(self.engine, values, query, body)
        if how == "unanswered":
            raise _LostError
        self._answer(answer, cut=how == "cut")

    def _due(self, route: str) -> str:
        """Count a request; return the fault that it is to have, or nothing."""
        engine = self.engine
        with engine.lock:
            engine.requests[route] += 1
            fault = engine.fault
            if fault is None or engine.fired or (fault.route, fault.number) != (route, engine.requests[route]):
                return ""
            engine.fired = f"{fault.how} at request {fault.number} of {route}"
        if fault.how == "hang":
            engine.over.wait()
            raise _LostError
        if fault.how == "gone":
            engine.deafen()
            engine.cut_connections()
            raise _LostError
        if fault.how == "interrupt":
            engine.interrupt()
        if fault.how == "restart":
            with engine.lock:
                engine.restart()
            raise _LostError
        return fault.how

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = bytearray()
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(content)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer: Any, *, cut: bool) -> None:
        if isinstance(answer, Stream):
            self._stream(answer, cut=cut)
            return
        status, data = answer
        self._send(status, data, cut=cut)

    def _send(self, status: int, data: Any, *, cut: bool = False) -> None:
        body = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        if isinstance(data, bytes):
            self.send_header("X-Docker-Container-Path-Stat", "e30=")
        self.send_header("Content-Type", "application/x-tar" if isinstance(data, bytes) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _stream(self, stream: Stream, *, cut: bool) -> None:
        """Write a program's output as frames, and then its end."""
        frames = b"".join(struct.pack(">BxxxL", kind, len(block)) + block for kind, block in stream.blocks)
        if stream.upgrades:
            self.wfile.write(
                b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
        self._wait_until_read()
        self.wfile.write(frames[: len(frames) // 2] if cut else frames)
        if not cut:
            stream.end()
        self.close_connection = True

    def _wait_until_read(self) -> None:
        """Wait until the client has read the headers: bytes that come with them would stay in its buffer for these."""
        unread = array.array("i", [1])
        deadline = time.monotonic() + READ_S
        while unread[0] and time.monotonic() < deadline:
            time.sleep(0.002)
            fcntl.ioctl(self.connection, termios.TIOCOUTQ, unread)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        """Say nothing."""
