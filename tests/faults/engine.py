"""A container engine without containers: it speaks Docker's API on a socket, and answers for cells what was recorded.

Its own faults (see `EngineFault`) are set by request: the N-th one of a route is not answered, or not as it should be.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
import termios
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from matrix.engine.api import LABEL
from matrix.engine.cache import KEPT
from tests.faults import recorded
from tests.faults.recorded import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POINTS = "/var/lib/fake-engine"
STDOUT, STDERR = 1, 2
KILLED = 137
READ_S = 10
RULES, BAD = "tree/tools/perf/Makefile.perf", b".PHONY: $(PROGRAM)"
"""The file of a tree by which the bad one is known, and the line that it has and the good one has not."""


@dataclass(frozen=True)
class EngineFault:
    """A fault of the engine at the `number`-th request of a route, as `POST /volumes/create`.

    `lost` closes the connection and does nothing, `unanswered` does the work and closes then, `cut` sends half of the
    answer, `error 500` refuses, `hang` says nothing until the engine is closed, `gone` and all later connections are
    refused, `restart` ends all containers and connections.
    """

    route: str
    number: int
    how: str


@dataclass
class FakeContainer:
    """A container that there is no process of; `tree` is that of a cell, as far as it is one's."""

    id: str
    image: str
    labels: dict[str, str]
    volumes: list[str]
    words: list[str]
    tree: str = ""
    running: bool = False
    exit_code: int = 0


@dataclass
class FakeEngine:
    """Docker's API as far as a run uses it; `trees` maps the volume of each tree to `good` or `bad`."""

    path: Path
    fault: EngineFault | None = None
    fired: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    archives: dict[str, set[str]] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    programs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.over = threading.Event()
        self._made = 0
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
    server: FakeEngine  # type: ignore[assignment]

    @property
    def engine(self) -> FakeEngine:
        return self.server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the base class calls them so

    def _handle(self) -> None:
        split = urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+", "", split.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        body = self._body()
        action, values, route = _route(self.command, path)
        try:
            self._do(action, values, query, body, self._due(route))
        except _LostError:
            self.close_connection = True
        except _RefusedError as error:
            self._send(error.status, {"message": str(error)})

    def _do(self, action: Callable[..., Any], values: list[str], query: Query, body: bytes, how: str) -> None:
        """Do what a request asks for and answer it, or what its fault has come of it."""
        if how == "lost":
            raise _LostError
        if how == "error 500":
            raise _RefusedError(500, "an injected failure: no space left on device")
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
        if isinstance(answer, _Stream):
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

    def _stream(self, stream: _Stream, *, cut: bool) -> None:
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


@dataclass(frozen=True)
class _Stream:
    blocks: list[tuple[int, bytes]]
    end: Callable[[], None]
    upgrades: bool = True


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Query = dict[str, str]


def _container(engine: FakeEngine, name: str) -> FakeContainer:
    if name not in engine.containers:
        raise _RefusedError(404, f"No such container: {name}")
    return engine.containers[name]


def _version(*_: Any) -> Any:
    return 200, {"ApiVersion": "1.41", "Version": "0", "Platform": {"Name": "fake"}}


def _info(*_: Any) -> Any:
    facts = {"KernelVersion": "6", "Architecture": "x86_64", "Driver": "none", "CgroupVersion": "2"}
    return 200, {**facts, "NCPU": 2, "MemTotal": 8 << 30}


def _ping(*_: Any) -> Any:
    return 200, "OK"


def _image(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    by_id = {image["Id"]: image for image in engine.images.values()}
    found = engine.images.get(values[0]) or by_id.get(values[0])
    if found is None:
        raise _RefusedError(404, f"No such image: {values[0]}")
    return 200, found


def _new_image(engine: FakeEngine, tag: str, labels: dict[str, str]) -> None:
    digest = hashlib.sha256(tag.encode()).hexdigest()
    engine.images[tag] = {"Id": f"sha256:{digest}", "RepoTags": [tag], "Labels": labels}


def _create_image(engine: FakeEngine, _values: list[str], query: Query, _body: bytes) -> Any:
    name = query.get("fromImage") or query.get("repo", "")
    _new_image(engine, f"{name}:{query.get('tag') or 'latest'}", {LABEL: "base"})
    return 200, {"status": "done"}


def _tag_image(engine: FakeEngine, values: list[str], query: Query, _body: bytes) -> Any:
    engine.images[f"{query['repo']}:{query['tag']}"] = _image(engine, values)[1]
    return 201, None


def _build(engine: FakeEngine, _values: list[str], query: Query, _body: bytes) -> Any:
    _new_image(engine, query["t"], {LABEL: "image"})
    return 200, {"stream": "Successfully built\n"}


def _list_images(engine: FakeEngine, *_: Any) -> Any:
    return 200, list(engine.images.values())


def _list_volumes(engine: FakeEngine, *_: Any) -> Any:
    return 200, {"Volumes": list(engine.volumes.values())}


def _list_containers(engine: FakeEngine, *_: Any) -> Any:
    return 200, [{"Id": one.id, "Labels": one.labels} for one in engine.containers.values()]


def _create_volume(engine: FakeEngine, _values: list[str], _query: Query, body: bytes) -> Any:
    asked = json.loads(body)
    return 201, engine.add_volume(asked["Name"], asked.get("Labels") or {}, asked.get("DriverOpts") or {})


def _volume(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    if values[0] not in engine.volumes:
        raise _RefusedError(404, f"no such volume: {values[0]}")
    return 200, engine.volumes[values[0]]


def _remove_volume(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _volume(engine, values)
    if any(values[0] in one.volumes for one in engine.containers.values()):
        raise _RefusedError(409, "volume is in use")
    del engine.volumes[values[0]]
    engine.archives.pop(values[0], None)
    return 204, None


def _create_container(engine: FakeEngine, _values: list[str], _query: Query, body: bytes) -> Any:
    asked = json.loads(body)
    if asked["Image"] not in engine.images:
        raise _RefusedError(404, f"No such image: {asked['Image']}")
    mounts = (asked.get("HostConfig") or {}).get("Mounts") or []
    volumes = [mount["Source"] for mount in mounts]
    for volume in volumes:
        _volume(engine, [volume])
    trees = [engine.trees[lower] for volume in volumes for lower in _lower(engine, volume) if lower in engine.trees]
    made = FakeContainer(
        engine.new_id(), asked["Image"], asked.get("Labels") or {}, volumes, asked["Cmd"], (trees or [""])[0]
    )
    engine.containers[made.id] = made
    return 201, {"Id": made.id, "Warnings": []}


def _lower(engine: FakeEngine, volume: str) -> list[str]:
    """Return the volumes that lie below an overlay."""
    options = engine.volumes[volume]["Options"].get("o", "")
    return re.findall(rf"{POINTS}/([^/]+)/tree", options)


def _start_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    container = _container(engine, values[0])
    container.running = container.words[0] != "sh" or "sleep" in container.words[-1]  # a script has ended at once
    return 204, None


def _inspect_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    one = _container(engine, values[0])
    state = {"Running": one.running, "OOMKilled": False, "ExitCode": one.exit_code, "Status": "running"}
    return 200, {"Id": one.id, "State": state, "Config": {"Labels": one.labels, "Tty": False}, "Image": one.image}


def _wait(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    return 200, {"StatusCode": _container(engine, values[0]).exit_code}


def _logs(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _container(engine, values[0])
    return _Stream([(STDOUT, b"make 4.3\nperl 5.36\n")], lambda: None, upgrades=False)


def _kill_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    container = _container(engine, values[0])
    container.running, container.exit_code = False, KILLED
    return 204, None


def _remove_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _container(engine, values[0])
    del engine.containers[values[0]]
    return 204, None


def _get_archive(engine: FakeEngine, values: list[str], query: Query, _body: bytes) -> Any:
    volume = _container(engine, values[0]).volumes[0]
    name = query["path"].removeprefix("/volume/")
    if name not in engine.archives.get(volume, ()):
        raise _RefusedError(404, f"no such file: {name}")
    return 200, _tar(name)


def _put_archive(engine: FakeEngine, values: list[str], _query: Query, body: bytes) -> Any:
    volume = _container(engine, values[0]).volumes[0]
    try:
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            names = set(archive.getnames())
            if RULES in names:
                rules = archive.extractfile(RULES)
                engine.trees[volume] = "bad" if rules and BAD in rules.read() else "good"
    except tarfile.TarError as error:
        raise _RefusedError(500, f"unexpected EOF: {error}") from error
    engine.archives.setdefault(volume, set()).update(names)
    return 200, None


def _tar(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def _create_program(engine: FakeEngine, values: list[str], _query: Query, body: bytes) -> Any:
    container = _container(engine, values[0])
    if not container.running:
        raise _RefusedError(409, f"Container {values[0]} is not running")
    name = engine.new_id()
    words = json.loads(body)["Cmd"]
    engine.programs[name] = {"container": container.id, "words": words, "ExitCode": None, "Running": True}
    return 201, {"Id": name}


def _start_program(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    program = engine.programs[values[0]]
    container = engine.containers.get(program["container"])
    if container is None or not container.running:
        raise _RefusedError(409, "the container is not running")
    answer = _program_answer(container.tree, program["words"])

    def end() -> None:
        program.update(ExitCode=answer.status, Running=False)

    blocks = [(STDERR, answer.log), *((STDOUT, line) for line in answer.output.splitlines(keepends=True))]
    if program["words"][4:5] == ["read"]:
        blocks = [(STDERR, answer.log), (STDOUT, answer.output)]
    return _Stream([(kind, block) for kind, block in blocks if block], end)


def _program_answer(tree: str, words: list[str]) -> Answer:
    if words[0] == "test":
        return Answer()
    return recorded.cell(tree).answer(words[4:])


def _program(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    program = engine.programs[values[0]]
    return 200, {"ID": values[0], "Running": program["Running"], "ExitCode": program["ExitCode"]}


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/version", _version),
    ("GET", "/info", _info),
    ("GET", "/_ping", _ping),
    ("HEAD", "/_ping", _ping),
    ("GET", "/images/json", _list_images),
    ("GET", "/images/(.+)/json", _image),
    ("POST", "/images/create", _create_image),
    ("POST", "/images/(.+)/tag", _tag_image),
    ("POST", "/build", _build),
    ("GET", "/volumes", _list_volumes),
    ("POST", "/volumes/create", _create_volume),
    ("GET", "/volumes/([^/]+)", _volume),
    ("DELETE", "/volumes/([^/]+)", _remove_volume),
    ("GET", "/containers/json", _list_containers),
    ("POST", "/containers/create", _create_container),
    ("POST", "/containers/([^/]+)/start", _start_container),
    ("GET", "/containers/([^/]+)/json", _inspect_container),
    ("POST", "/containers/([^/]+)/wait", _wait),
    ("GET", "/containers/([^/]+)/logs", _logs),
    ("POST", "/containers/([^/]+)/kill", _kill_container),
    ("DELETE", "/containers/([^/]+)", _remove_container),
    ("GET", "/containers/([^/]+)/archive", _get_archive),
    ("PUT", "/containers/([^/]+)/archive", _put_archive),
    ("POST", "/containers/([^/]+)/exec", _create_program),
    ("POST", "/exec/([^/]+)/start", _start_program),
    ("GET", "/exec/([^/]+)/json", _program),
)


def _route(method: str, path: str) -> tuple[Callable[..., Any], list[str], str]:
    """Return the function that answers a request, the names in its path, and its route, as `GET /exec/*/json`."""
    for known, pattern, action in ROUTES:
        found = re.fullmatch(pattern, path) if known == method else None
        if found:
            route = f"{method} {re.sub(r'[(].*?[)]', '*', pattern)}"
            return action, [unquote(value) for value in found.groups()], route
    return _unknown, [], f"{method} (unknown)"


def _unknown(*_: Any) -> Any:
    raise _RefusedError(500, "this engine knows no such request")
