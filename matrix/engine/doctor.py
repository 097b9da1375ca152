"""What the matrix needs of this machine, and whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

from matrix import __version__
from matrix.engine import backends
from matrix.engine.api import BTF
from matrix.errors import MatrixError


def examine(host: str | None) -> list[tuple[str, bool, str]]:
    """Return what the matrix needs of this machine: (what, whether it is there, what was found or what to do)."""
    rows = [("perf-build-matrix", True, __version__), ("python", True, sys.version.split()[0])]
    try:
        facts = backends.connect(host).describe()
    except MatrixError as error:
        rows.append(("container engine", False, str(error).replace("\n ", ":")))
    else:
        rows.append(("container engine", True, f"{facts['engine']} at {facts['url']}"))
        rows.append(("overlay storage", facts["storage"].startswith("overlay"), facts["storage"]))
        rows.append(("processors", True, facts["cpus"]))
        btf = Path(BTF)
        rows.append(("BTF of the kernel", btf.is_file(), f"{BTF} (BPF skeletons are made from it)"))
        memory = int(facts["memory_bytes"])
        rows.append(
            (
                "memory",
                memory >= 4 << 30,
                f"{memory / (1 << 30):.1f} GiB (a cell may use 8, and mostly uses 1)",
            )
        )
    return rows
