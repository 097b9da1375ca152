"""Bytes of sockets: the frames of a program's output, and answers over HTTP of an engine and of servers."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from urllib3 import connectionpool
from urllib3.connection import HTTPConnection

from matrix.engine.backends.docker import engine as docker_engine
from matrix.engine.backends.docker import streams
from matrix.engine.backends.docker.client import BoundedClient, _BoundedApi
from matrix.engine.backends.docker.engine import DockerEngine
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import download
from tests.fuzz import samples
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _frames(data: bytes) -> None:
    """Read the output of a program: what the first byte says is the length of each block that the socket gives."""
    length, at = data[0] + 1 if data else 1, 1
    read = io.BytesIO(data[at:])
    socket = SimpleNamespace(settimeout=lambda _: None, recv=lambda _: read.read(length))
    for kind, block in streams._frames(streams._Bytes(None, socket, 60).blocks()):
        assert 0 <= kind <= 255
        assert 0 < len(block) <= streams.BLOCK_BYTES


NEXT = b"\nNEXT\n"
"""What stands between two answers of an input."""


class _Socket:
    """A socket whose other side sends the next of some answers, and the last one ever again, whatever it is asked."""

    answers: ClassVar[list[bytes]] = []

    def __init__(self) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self._read: Any = io.BufferedReader(io.BytesIO(answer))

    def makefile(self, *_: Any, **__: Any) -> Any:
        return self._read

    def ignore(self, *_: Any, **__: Any) -> None:
        """Do what is asked of a socket, which is nothing here."""

    sendall = settimeout = setsockopt = shutdown = close = ignore


class _Connection(HTTPConnection):
    is_verified = True

    def __init__(self, host: str, port: int | None = None, **_: Any) -> None:
        super().__init__(host, port)

    def connect(self) -> None:
        self.sock = _Socket()

    @property
    def is_connected(self) -> bool:
        """Whether a connection can be used again: each request is one of a new connection."""
        return False


@contextlib.contextmanager
def _answered(answer: bytes) -> Iterator[None]:
    _Socket.answers = answer.split(NEXT)
    with (
        samples.replaced(connectionpool.HTTPConnectionPool, "ConnectionCls", _Connection),
        samples.replaced(connectionpool.HTTPSConnectionPool, "ConnectionCls", _Connection),
    ):
        yield


def _engine() -> DockerEngine:
    client = BoundedClient.__new__(BoundedClient)
    client.api = _BoundedApi(base_url="http://engine:1", version="1.41", timeout=1)
    return DockerEngine(client, "http://engine:1", "s")


ENGINE = _engine()
REQUESTS: tuple[Callable[[], object], ...] = (
    ENGINE.describe,
    ENGINE.resources,
    lambda: ENGINE.image("a:1"),
    lambda: ENGINE.pull("debian:trixie", "a:1"),
    lambda: ENGINE.script("a:1", "true", network=False),
    lambda: ENGINE.fetch("a:1", "true", "/a", samples.folder() / "fetched"),
    lambda: ENGINE.build("FROM x", "a:1", lambda _: None),
    lambda: ENGINE.provide("v", "tree", lambda: iter([b"x"])),
)


def _asked(data: bytes) -> None:
    """Ask an engine for what the first byte says; each request is answered by the rest."""
    with _answered(data[1:]), samples.replaced(docker_engine, "REMOVE_PAUSE_S", 0):
        REQUESTS[data[0] % len(REQUESTS) if data else 0]()


PLACE = download._Place("https://kernel.example/b.tar", samples.folder() / "b.tar")


def _downloaded(data: bytes) -> None:
    PLACE.forget()
    with _answered(data):
        for _ in range(2):
            download._download_rest(PLACE, time.monotonic() + 60, may_be_plain=False)


def _http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"\r\n".join((b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)))
    return head + b"\r\n\r\n" + body


JSON = b"Content-Type: application/json"
DESCRIBED = {
    "Id": "1" * 64, "Name": "a", "Version": "24", "ApiVersion": "1.43", "Platform": {"Name": "x"}, "KernelVersion": "6",
    "Architecture": "x", "Driver": "overlay2", "CgroupVersion": "2", "NCPU": 2, "MemTotal": 1, "StatusCode": 0,
    "Config": {"Tty": False}, "RepoDigests": ["a@sha256:1"], "Volumes": [{"Name": "v", "Labels": None}],
    "State": {"Running": False}, "stream": "a\n", "error": "x",
}  # fmt: skip
LISTED = b'[{"Id": "1", "Labels": {"a": "b"}, "RepoTags": ["a:1"], "Size": 1}]'
FRAME = struct.pack(">BxxxL", 1, 3) + b"abc" + struct.pack(">BxxxL", 2, 1) + b"d"
THING = _http(json.dumps(DESCRIBED).encode(), JSON, b"X-Docker-Container-Path-Stat: e30=")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PARTIAL = _http(b"abc", b'ETag: "1"', b"Content-Range: bytes 0-2/3", status=b"206 A")
WORDS = (
    NEXT, b"\r\n", b"HTTP/1.1 ", b"101 ", b"204 ", b"206 ", b"301 ", b"404 ", b"409 ", b"416 ", b"500 ", b"\xff",
    b"Location: http://[", b"Location: /\r\n", b"Location: https://kernel.example/c\r\n", b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Content-Range: bytes 0-", b'ETag: "1"\r\n',
    b"Set-Cookie: a=b; ",
)  # fmt: skip
LISTS = NEXT.join((_http(LISTED, JSON), THING, _http(LISTED, JSON)))
PACKED = _http(samples.plain_tar({"a": b"abc"}), b"X-Docker-Container-Path-Stat: e30=")
ARCHIVE = NEXT.join((THING, THING, THING, THING, PACKED, THING))
FOR_EACH = tuple(bytes([number]) + THING for number in range(len(REQUESTS)))

TARGETS = (
    Target(
        "exec-stream",
        _frames,
        (b"\x07" + FRAME, b"\xff" + FRAME * 3),
        own=(InfrastructureError,),
        words=(FRAME[:8], bytes(8), b"\x01\0\0\0\xff\xff\xff\xff"),
        growing={
            "frames": lambda size: b"\xff" + (struct.pack(">BxxxL", 1, 1) + b"a") * (size // 9),
            "small blocks": lambda size: b"\0" + struct.pack(">BxxxL", 1, size) + b"a" * size,
            "empty frames": lambda size: b"\xff" + bytes(size),
        },
    ),
    Target(
        "engine-answer",
        _asked,
        (*FOR_EACH, b"\1" + LISTS, b"\5" + ARCHIVE, b"\4" + CHUNKED),
        own=(InfrastructureError,),
        words=WORDS,
        cost=12,
        growing={
            "brackets": lambda size: b"\0" + _http(b"[" * size, JSON),
            "headers": lambda size: b"\0" + _http(b"{}", *[b"A: b"] * (size // 6)),
            "chunks": lambda size: b"\0" + CHUNKED_HEAD + b"1\r\n \r\n" * (size // 6),
        },
    ),
    Target(
        "download-answer",
        _downloaded,
        (_http(b"abc", b'ETag: "1"'), PARTIAL, NEXT.join((CHUNKED_HEAD, PARTIAL)), CHUNKED),
        own=(InfrastructureError, UsageError),
        words=WORDS,
        cost=12,
        growing={
            "headers": lambda size: _http(b"abc", *[b"A: b"] * (size // 6)),
            "chunks": lambda size: CHUNKED_HEAD + b"1\r\na\r\n" * (size // 6),
        },
    ),
)  # fmt: skip
