"""Examines this machine for the needs of the matrix."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import __version__
from matrix.engine import backends, limits
from matrix.engine.api import BTF
from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.engine.api import Engine

MEMORY_BYTES = 4 << 30
"""The least memory of a machine: two cells at once, which mostly use 1 GiB each, the engine, and the page cache."""


@dataclass(frozen=True)
class Need:
    """A need of the matrix on a machine, `what`; `found` is the thing that meets it, or the advice where none does."""

    what: str
    found: str
    is_met: bool = True


def examine(host: str | None) -> list[Need]:
    """Return the needs of the matrix on this machine and on the engine at `host`, or on the first that answers."""
    program = [Need("perf-build-matrix", __version__), Need("python", sys.version.split()[0]), _git()]
    try:
        engine = backends.connect(host)
        described, enforced = engine.describe(), _limits(engine)
    except MatrixError as error:
        # The message and its hint are two lines, and a row of the table is one.
        return [*program, Need("container engine", str(error).replace("\n ", ":"), is_met=False)]
    return [*program, *_of_engine(described), enforced]


def _git() -> Need:
    path = shutil.which("git")
    lacking = "there is none: install git, which git: trees and series need (dir: and tar: trees do without)"
    return Need("git", path or lacking, is_met=path is not None)


def _limits(engine: Engine) -> Need:
    """Return whether limits on a cell are enforced, looked at in an image of ours where the engine has one."""
    lacking = limits.unenforced(engine)
    if lacking is None:
        return Need("limits on a cell", "looked at when the first image is there")
    return Need("limits on a cell", limits.words(lacking) if lacking else "memory and processes", is_met=not lacking)


def _of_engine(described: Mapping[str, str]) -> list[Need]:
    memory_bytes = int(described["memory_bytes"])
    memory = f"{memory_bytes / (1 << 30):.1f} GiB (a cell may use 8, and mostly uses 1)"
    return [
        Need("container engine", f"{described['engine']} at {described['url']}"),
        Need("overlay storage", described["storage"], is_met=described["storage"].startswith("overlay")),
        Need("processors", described["cpus"]),
        Need("BTF of the kernel", f"{BTF} (BPF skeletons are made from it)", is_met=Path(BTF).is_file()),
        Need("memory", memory, is_met=memory_bytes >= MEMORY_BYTES),
    ]
