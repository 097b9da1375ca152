"""Programs of the host, as git, whose output has bounds: what they read may be a stranger's."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ERROR_BYTES = 64 << 10
"""The end of a program's standard error that is kept."""

_BLOCK_BYTES = 64 << 10


class TooMuchOutputError(Exception):
    """A program printed more than it may, and was killed."""


@dataclass(frozen=True)
class Printed:
    """The output that a program may print: at most `most_bytes`; of its standard error the end is kept."""

    most_bytes: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def take(self, stream: bytearray, block: bytes) -> None:
        """Take a block that a program printed.

        Raises:
            TooMuchOutputError: its output is longer than `most_bytes` now.

        """
        stream += block
        if stream is self.stderr:
            del stream[:-ERROR_BYTES]
        elif len(stream) > self.most_bytes:
            raise TooMuchOutputError


def run(
    argv: list[str], *, most_bytes: int, time_s: float, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program; return its exit status, its output and the last ERROR_BYTES of its standard error.

    Raises:
        OSError: the program could not be run.
        TooMuchOutputError: its output is longer than `most_bytes`; it was killed.
        subprocess.TimeoutExpired: the program did not end within `time_s`; it was killed.

    """
    end = time.monotonic() + time_s
    output = Printed(most_bytes)
    # A file, as a program that reads a part of a pipe alone would stop who writes it.
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen(
            argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0
        ) as process:
            try:
                for stream, block in _blocks(process, output, end):
                    output.take(stream, block)
                status = process.wait(max(0.0, end - time.monotonic()))
            except BaseException:
                process.kill()
                raise
    return subprocess.CompletedProcess(argv, status, bytes(output.stdout), bytes(output.stderr))


def _blocks(process: subprocess.Popen[bytes], output: Printed, end: float) -> Iterator[tuple[bytearray, bytes]]:
    """Yield each block that a process prints, with the stream of the output that it is for.

    Raises:
        subprocess.TimeoutExpired: the end, a time of `time.monotonic`, has come.

    """
    with selectors.DefaultSelector() as selector:
        selector.register(_pipe(process.stdout), selectors.EVENT_READ, output.stdout)
        selector.register(_pipe(process.stderr), selectors.EVENT_READ, output.stderr)
        while selector.get_map():
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in selector.select(max(0.0, end - time.monotonic())):
                block = os.read(key.fd, _BLOCK_BYTES)
                if block:
                    yield key.data, block
                else:
                    selector.unregister(key.fileobj)


def _pipe(pipe: IO[bytes] | None) -> Any:
    assert pipe is not None
    return pipe
