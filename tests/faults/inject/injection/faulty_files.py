"""Files that fail when they are read, written, closed, flushed or looked at."""

from __future__ import annotations

import builtins
import errno
import io
import os
from pathlib import Path
from typing import Any

from .injector import Injector, State, path_of


class _FullDisk(io.FileIO):
    """A file on a disk that takes half of the first block and nothing more, or that fails at once."""

    number = errno.ENOSPC
    is_short = True

    def write(self, data: Any, /) -> int:
        if self.is_short:
            self.is_short = False
            half = memoryview(data)[: len(data) // 2]
            if len(half):
                return super().write(half)
        raise OSError(self.number, os.strerror(self.number))


class _BadClose(io.FileIO):
    """A file whose close fails, as where a network's file system writes only then; the file is closed (close(2))."""

    number = errno.EIO

    def close(self) -> None:
        is_first = not self.closed
        super().close()
        if is_first:
            raise OSError(self.number, os.strerror(self.number))


class _BadRead(io.FileIO):
    """A file on a disk that cannot read its first block."""

    def readinto(self, _: Any, /) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def readall(self) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _as_raw(mode: str) -> str:
    return mode.replace("b", "").replace("t", "")


def _wrapped(raw: io.FileIO, mode: str, options: dict[str, Any]) -> Any:
    buffer: Any = io.BufferedReader(raw) if isinstance(raw, _BadRead) else io.BufferedWriter(raw)
    if "b" in mode:
        return buffer
    return io.TextIOWrapper(buffer, encoding=options.get("encoding"), errors=options.get("errors"))


def _faulty(injector: Injector, path: str, mode: str) -> io.FileIO | None:
    """Return a file whose reads, writes or close fail, where that is due at this one."""
    if not set(mode) & set("wax+"):
        return _BadRead(path, _as_raw(mode)) if injector.at("read", path) else None
    if injector.at("write", path):
        written = _FullDisk(path, _as_raw(mode))
        written.is_short = injector.how in ("short", "ENOSPC")
        written.number = errno.ENOSPC if written.is_short else getattr(errno, injector.how)
        return written
    if injector.at("close", path):
        closed = _BadClose(path, _as_raw(mode))
        closed.number = getattr(errno, injector.how)
        return closed
    return None


def _opening(real: Any) -> Any:
    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        injector = State.injector
        if not injector or not path_of(file).startswith(injector.below):
            return real(file, mode, *args, **options)
        raw = _faulty(injector, path_of(file), mode)
        return real(file, mode, *args, **options) if raw is None else _wrapped(raw, mode, options)

    return opened


def _looking(real: Any) -> Any:
    def stat(path: Any, *args: Any, **options: Any) -> Any:
        injector = State.injector
        if injector and path_of(path).startswith(injector.below):
            injector.system_call("stat", path_of(path))
        return real(path, *args, **options)

    return stat


def _flushing(real: Any) -> Any:
    def fsync(descriptor: int) -> None:
        injector = State.injector
        if injector:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            injector.system_call("flush", path)
            injector.note("flush", path)
        real(descriptor)

    return fsync


def install() -> None:
    """Let files be opened, flushed and looked at through this module."""
    builtins.open = io.open = _opening(io.open)
    os.fsync = _flushing(os.fsync)
    real_stat = os.stat
    os.stat, os.lstat = _looking(os.stat), _looking(os.lstat)
    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if real_stat in known:  # as shutil looks there whether it can remove a folder without races
            known.add(os.stat)
