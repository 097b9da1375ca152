"""The command perf-matrix in this process, where the start of Python and its imports are no part of what is shown."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import typer

from matrix import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


def perf_matrix(words: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> Done:
    """Run the command as a process with this environment and current folder would, without a standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.ExitStack() as undo, Path(os.devnull).open(encoding="utf-8") as nothing:
        for name, value in (("argv", ["perf-matrix", *words]), ("stdin", nothing), ("stdout", out), ("stderr", err)):
            undo.enter_context(mock.patch.object(sys, name, value))
        undo.enter_context(mock.patch.dict(os.environ, environment, clear=True))
        undo.enter_context(contextlib.chdir(folder))
        undo.enter_context(mock.patch.object(cli, "app", _app()))
        status = _status()
    return Done(status, *(_written(stream) for stream in (out, err)))


@functools.cache
def _app() -> Callable[[], Any]:
    """Return the command as typer calls it, which otherwise makes it anew of every function's options at each call."""
    return typer.main.get_command(cli.app)


def _status() -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.detach()
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
