"""An engine's socket behind which there is none: it lists what a test says, and answers no request for an image."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from matrix.engine.api import LABEL, RUN_LABEL
from tests.replay.engine_socket import EngineSocket, QuietHandler

if TYPE_CHECKING:
    from pathlib import Path


class FakeEngine(EngineSocket):
    """Docker's API on a socket, as far as a run asks before its first image: a cell that is begun there does not end.

    `volumes` maps the name of each volume there is to its label of a run; the API removes them.
    """

    def __init__(self, path: Path) -> None:
        self.volumes: dict[str, str] = {}
        self.asked_for_image = threading.Event()
        super().__init__(path, _Handler)


class _Handler(QuietHandler):
    of: FakeEngine

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/images/" in path and not path.endswith("/images/json") and "empty" not in path:
            self.of.asked_for_image.set()
            self.of.ends.wait()
            self.close_connection = True
        elif path.endswith("/_ping"):
            self._answer(200, "OK")
        elif path.endswith("/version"):
            self._answer(200, {"ApiVersion": "1.41", "Version": "0"})
        elif path.endswith("/info"):
            self._answer(200, {"ServerVersion": "0", "KernelVersion": "0", "NCPU": 1, "MemTotal": 1, "Driver": "none"})
        elif path.endswith("/volumes"):
            self._answer(200, {"Volumes": [_volume(name, run) for name, run in self.of.volumes.items()]})
        elif path.endswith(("/containers/json", "/images/json")):
            self._answer(200, [])
        else:
            self._answer(500, {"message": "there is no such engine"})

    def do_DELETE(self) -> None:
        self.of.volumes.pop(self.path.partition("?")[0].rpartition("/")[2], None)
        self._answer(204, None)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(500, {"message": "there is no such engine"})

    def _answer(self, status: int, data: Any) -> None:
        body = b"" if data is None else (data if isinstance(data, str) else json.dumps(data)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _volume(name: str, run: str) -> dict[str, Any]:
    return {"Name": name, "Labels": {RUN_LABEL: run, LABEL: "cell"}}
