"""The digest of the installed program: two machines with the same one plan, run and judge a cell alike."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path

from matrix import __version__, files
from matrix.config import load
from matrix.engine.api import BTF
from matrix.machines.messages import Machine
from matrix.runs import schedule

SUFFIXES = frozenset((".py", ".yaml", ".j2"))


@functools.cache
def program() -> str:
    """Return the digest of the program's modules and of its own configuration."""
    package = Path(__file__).resolve().parents[1]
    data = load.resources()
    folders = {"matrix": package, "configs": data / "configs", "containers": data / "containers"}
    whole = hashlib.sha256()
    for name, folder in folders.items():
        for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
            if (package / "data") not in path.parents or name != "matrix":
                whole.update(f"{name}/{path.relative_to(folder)} {files.sha256(path)}\n".encode())
    return whole.hexdigest()


def machine(name: str, at_once: int) -> Machine:
    """Return this machine as a worker describes it; `at_once` groups of cells run on it at once, 0 for the usual."""
    return Machine(
        program=program(),
        version=__version__,
        name=name,
        architecture=platform.machine(),
        processors=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        btf=Path(BTF).exists(),
        at_once=at_once or schedule.workers(0, 1000),
    )
