from __future__ import annotations

import http.client
import socket
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from matrix.engine.backends.docker import streams


def frame(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(content)) + content


@pytest.mark.parametrize("cut", [0, 3, 8, 10, 13, 27])
def test_output_that_came_with_the_headers_of_the_answer_is_output(cut: int) -> None:
    output = frame(1, b"first") + frame(2, b"second")
    theirs, ours = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\n" + output[:cut])
    answer = http.client.HTTPResponse(ours)
    answer.begin()

    def started(_: str, *, socket: bool) -> Any:
        assert socket
        file: Any = answer.fp
        connection = file.raw
        connection._response = SimpleNamespace(raw=SimpleNamespace(_fp=answer), close=answer.close)
        return connection

    with theirs, ours, streams.stream(SimpleNamespace(exec_start=started), "1", 10) as frames:
        theirs.sendall(output[cut:])
        theirs.shutdown(socket.SHUT_WR)
        said: dict[int, bytes] = {}
        for kind, block in frames:
            said[kind] = said.get(kind, b"") + block
    assert said == {1: b"first", 2: b"second"}
