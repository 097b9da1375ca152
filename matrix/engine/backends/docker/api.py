"""Docker's failures as InfrastructureErrors, and its streams as iterators and files, for the modules of this folder."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException
from docker.utils.socket import frames_iter
from requests.exceptions import RequestException

from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Turn the errors of docker, requests and sockets into InfrastructureErrors; `what` completes `could not …`."""
    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        reason = getattr(error, "explanation", None) or str(error)
        hint = "Free some disk space, or run `perf-matrix clean`." if "no space left" in str(reason) else ""
        raise InfrastructureError(f"the engine could not {what}: {reason}", hint) from error


@contextlib.contextmanager
def stream(api: Any, execution: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Start a program and yield its output as pairs of a stream, STDOUT or STDERR, and a block of bytes.

    The connection is closed at the end. The docker package's own reader leaves it open, so that a long run ends out of
    file descriptors: https://github.com/docker/docker-py/issues/1755.
    """
    connection = api.exec_start(execution, socket=True)
    try:
        yield frames_iter(connection, tty=False)
    finally:
        connection._response.close()  # noqa: SLF001 - the socket alone has no reference to its connection


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
