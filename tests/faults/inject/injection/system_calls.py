"""The boundaries that an audit hook of Python sees (PEP 578): files, folders, locks, sockets and programs."""

from __future__ import annotations

import os
from typing import Any

from .injector import Injector, State, path_of

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SIMPLE = {
    "os.rename": "rename",
    "os.mkdir": "make folder",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "os.listdir": "list folder",
    "os.scandir": "list folder",
}
NOTED = {"os.rename": "rename", "os.mkdir": "make folder"}


REAL_LSTAT = os.lstat


def _is_new(path: str) -> bool:
    try:
        REAL_LSTAT(path)
    except OSError:
        return True
    return False


def _opened(injector: Injector, args: tuple[Any, ...]) -> None:
    path = path_of(args[0])
    if path.startswith(injector.below):
        flags = args[2] if isinstance(args[2], int) else 0
        injector.system_call("open to write" if flags & WRITES else "open to read", path)
        if flags & WRITES:
            injector.note("write", path)


def hook(event: str, args: tuple[Any, ...]) -> None:
    """Look at an event of Python's (its documentation: "Audit events table")."""
    injector = State.injector
    if injector is None:
        return
    if event == "open":
        _opened(injector, args)
    elif event in SIMPLE:
        path = path_of(args[0])
        if path.startswith(injector.below):
            injector.system_call(SIMPLE[event], path)
            is_new = event != "os.mkdir" or _is_new(path)
            if event in NOTED and is_new:
                injector.note(NOTED[event], path, path_of(args[1]) if event == "os.rename" else "")
    elif event == "fcntl.flock":
        injector.system_call("lock", "")
    elif event == "socket.connect" and isinstance(args[1], str) and args[1].startswith(injector.below):
        injector.system_call("connect", args[1])
    elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] == "127.0.0.1":
        injector.system_call("connect to the server", str(args[1]))
    elif event == "subprocess.Popen":
        injector.system_call("start a program", str(args[0]))
