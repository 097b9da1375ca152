"""Reads of the kernel's files about processes. Standard library only, Python 3.6 syntax."""

import os


def read(path: str, limit_bytes: int = 4096) -> bytes:
    """Return one read of a file of /proc, or nothing where its process has ended; a traced process waits meanwhile.

    Raises:
        OSError: the file cannot be read although the process is there, so that facts would be lost.

    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    try:
        return os.read(descriptor, limit_bytes)
    except ProcessLookupError:
        return b""
    finally:
        os.close(descriptor)


def link(path: str) -> str:
    """Return the target of a symbolic link, or nothing where it cannot be read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""
