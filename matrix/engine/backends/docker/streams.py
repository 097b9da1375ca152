"""The streams of an engine as iterators and files: a program's output, within a deadline, and archives."""

from __future__ import annotations

import contextlib
import io
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix.engine.backends.docker.client import CONNECT_S, patience
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE_S = 30
"""The seconds of a program's silence after which the engine is asked whether it still answers."""

OVERTIME_S = 120
"""The seconds from a program's deadline, at which its container is killed, to the end of its output."""

END_S = 10
"""The seconds from the end of a program's output in which the engine notices the program's end."""

KILLED = 137
"""The exit status of a killed program: as a shell has it, 128 and SIGKILL's 9."""

BLOCK_BYTES = 64 << 10
"""The most that is read of a frame at once; a frame's length, a 32-bit number, is the engine's word."""

LOG_BYTES = 16 << 20
"""The longest output of a script of ours, in whatever image: a list of packages has 100 KB, diffoscope's text 200."""

_HEADER = struct.Struct(">BxxxL")
"""The stream and length of a frame: https://docs.docker.com/reference/api/engine/version/v1.41, "Stream format"."""


@contextlib.contextmanager
def stream(api: Any, execution: str, deadline_s: float) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Start a program and yield its output as pairs of a stream, STDOUT or STDERR, and a block of bytes.

    The connection is closed at the end. The docker package's own reader leaves it open, so that a long run ends out of
    file descriptors: https://github.com/docker/docker-py/issues/1755. That reader also waits for an engine that stopped
    answering without end; this one has an end OVERTIME_S after the program's deadline.
    """
    connection = api.exec_start(execution, socket=True)
    try:
        yield _frames(_Bytes(api, _socket(connection), deadline_s, _read_ahead(connection)).blocks())
    finally:
        connection._response.close()  # noqa: SLF001 - the socket alone has no reference to its connection


def _socket(connection: Any) -> Any:
    """Return the socket below a file, which raises a TimeoutError as often as one is due, and not once."""
    return getattr(connection, "_sock", connection)


def _read_ahead(connection: Any) -> bytes:
    """Return the output that had come with the answer's headers before they were read: http.client has it by then.

    It is lost to whoever reads the socket: https://github.com/docker/docker-py/issues/3332.
    """
    _socket(connection).settimeout(0)
    with contextlib.suppress(OSError):  # TLS's word for nothing to read yet; other errors come again with the next read
        return bytes(connection._response.raw._fp.fp.peek())  # noqa: SLF001 - as above
    return b""


def status(api: Any, container: str, argv: list[str], deadline_s: float) -> int:
    """Run a short program in a container, and return its exit status; its output is left out."""
    execution = api.exec_create(container, argv)["Id"]
    with stream(api, execution, deadline_s) as frames:
        for _ in frames:
            pass
    found = exit_status(api, execution)
    return KILLED if found is None else found


def log(api: Any, container: str, *, stderr: bool) -> bytes:
    """Return the output of a container's program that has ended, with its standard error or without.

    Raises:
        InfrastructureError: the output is longer than LOG_BYTES.

    """
    output = bytearray()
    for block in _log_blocks(api, container, stderr=stderr):
        output += block
        if len(output) > LOG_BYTES:
            raise InfrastructureError(f"a script printed more than {LOG_BYTES >> 20} MiB", "Is its image ours?")
    return bytes(output)


def log_end(api: Any, container: str, most_bytes: int = 2000) -> str:
    """Return the end of the output of a container's program that has ended; bytes that are not UTF-8 are replaced."""
    output = bytearray()
    for block in _log_blocks(api, container, stderr=True):
        output += block
        del output[:-most_bytes]
    return output.decode(errors="replace")


def _log_blocks(api: Any, container: str, *, stderr: bool) -> Iterator[bytes]:
    """Yield the output of a container's program that has ended.

    The docker package's `logs` reads all of it, or leaves the connection open where the engine stops answering.
    """
    wanted = {"stdout": 1, "stderr": int(stderr), "follow": 0}
    answer = api._get(api._url("/containers/{0}/logs", container), params=wanted, stream=True)  # noqa: SLF001 - no public method returns it
    with contextlib.closing(answer):
        api._raise_for_status(answer)  # noqa: SLF001 - no public method returns it
        for _, block in _frames(answer.raw.stream(BLOCK_BYTES)):
            yield block


def exit_status(api: Any, execution: str) -> int | None:
    """Return the exit status of a program whose output has ended; None where its container ended first.

    The engine may notice the program's end some time after the end of its output.

    Raises:
        InfrastructureError: the program goes on, so the engine cut its output short.

    """
    deadline = time.monotonic() + END_S
    while (found := api.exec_inspect(execution))["Running"]:
        if time.monotonic() > deadline:
            raise InfrastructureError("the engine cut the output of a program short", "Run it again: --resume RUN.")
        time.sleep(0.05)
    status: int | None = found["ExitCode"]
    return status


@dataclass(frozen=True)
class _Bytes:
    """The bytes of a program's output: `ahead`, and the socket's, read for `deadline_s` seconds and some overtime."""

    api: Any
    socket: Any
    deadline_s: float
    ahead: bytes = b""

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks until the engine closes the stream.

        Raises:
            InfrastructureError: the deadline and the overtime have passed.
            requests.Timeout: the engine does not answer any more.

        """
        yield self.ahead
        end = time.monotonic() + self.deadline_s + OVERTIME_S
        while True:
            self.socket.settimeout(max(0.001, min(SILENCE_S, end - time.monotonic())))
            try:
                block = self.socket.recv(BLOCK_BYTES)
            except TimeoutError:
                self._refuse_silence(end)
                continue
            if not block:
                return
            yield block

    def _refuse_silence(self, end: float) -> None:
        if time.monotonic() >= end:
            raise InfrastructureError(
                f"the engine did not end a program within {OVERTIME_S} s of its deadline",
                "Is its disk or kernel stuck? Restart it, then go on: --resume RUN.",
            )
        with patience(self.api, CONNECT_S):
            self.api.ping()


def _frames(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of frames; a stream that ends within a frame is one whose container was killed."""
    reader = Reader(blocks)
    while len(header := reader.read(_HEADER.size)) == _HEADER.size:
        kind, left = _HEADER.unpack(header)
        while left and (part := reader.read(min(left, BLOCK_BYTES))):
            yield kind, part
            left -= len(part)


class Reader(io.RawIOBase):
    """A readable file over an iterator of blocks, which tarfile can stream from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.rest = b""

    def readable(self) -> bool:
        """Return True, as io.RawIOBase asks of a file that can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or all that are left."""
        while size < 0 or len(self.rest) < size:
            block = next(self.blocks, None)
            if block is None:
                break
            self.rest += block
        size = len(self.rest) if size < 0 else size
        data, self.rest = self.rest[:size], self.rest[size:]
        return data
