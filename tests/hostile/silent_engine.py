"""An engine's socket that answers a number of requests, as Docker would, and then accepts them and is silent."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

from tests.replay.engine_socket import EngineSocket, QuietHandler

if TYPE_CHECKING:
    from pathlib import Path

THING = {
    "ApiVersion": "1.41",
    "Version": "20",
    "KernelVersion": "6",
    "Architecture": "x86_64",
    "Driver": "overlay2",
    "NCPU": 2,
    "MemTotal": 1,
    "Id": "sha256:1",
    "Name": "/thing",
    "Mountpoint": "/volumes/thing",
    "Running": False,
    "State": {"Running": True, "OOMKilled": False, "ExitCode": 0},
    "Config": {"Tty": False},
    "ExitCode": 0,
    "StatusCode": 0,
    "Volumes": [],
    "stream": "built",
    "status": "sha256:1",
}
"""The answer to every request for JSON: each caller takes from it what it looks for."""


class SilentEngine(EngineSocket):
    """Docker's API on a socket; `answers` is the number of requests that are still answered."""

    def __init__(self, path: Path) -> None:
        self.answers = 10**6
        self.frames = b"\x01\0\0\0\0\0\0\x02ok"
        self.keeps_streams_open = False
        self.asked: list[str] = []
        super().__init__(path, _Handler)


class _Handler(QuietHandler):
    of: SilentEngine

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        self.of.asked.append(f"{self.command} {path}")
        self.of.answers -= 1
        if self.of.answers < 0:
            self.of.ends.wait()
            self.close_connection = True
            return
        self._drain()
        if path.endswith("/start") and "/exec/" in path:
            self._stream()
        elif path.endswith("/archive") and self.command == "GET":
            self._answer(_archive(), "application/x-tar")
        elif path.endswith(("containers/json", "images/json")):
            self._answer(b"[]")
        elif path.endswith("/_ping"):
            self._answer(b"OK")
        else:
            self._answer(json.dumps(THING).encode())

    def _drain(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _stream(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.wfile.flush()
        self.of.ends.wait(0.02)  # the header and the first frame are two packets, as an engine sends them
        self.wfile.write(self.of.frames)
        self.wfile.flush()
        if self.of.keeps_streams_open:
            self.of.ends.wait()
        self.close_connection = True

    def _answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Docker-Container-Path-Stat", "e30=")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"), io.BytesIO())
    return buffer.getvalue()
