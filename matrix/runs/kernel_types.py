"""The digest of the engine's kernel's type information, which BPF skeletons are made from, before a cell is begun."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.engine.api import BTF

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.model.cell import Cell

FACT = "btf_sha256"
"""The fact of CellResult.host with the digest."""

NONE = "none"
"""The digest where the kernel has no type information."""


def digest(cell: Cell, host: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of the type information that a cell's build may read, empty for one without BPF skeletons.

    None is for an engine whose kernel may be another than this machine's, so that only its cells can tell. `host` has
    the facts of Engine.describe, and where another machine has told them those of its kernel.
    """
    if cell.build.expect.bpf_skeletons is False:
        return ""
    return host[FACT] if host.get(FACT) else of(host)


def of(host: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of the type information of an engine's kernel; None where it is not this machine's."""
    is_here = host.get("url", "").startswith("unix:") and host.get("kernel") == os.uname().release
    return _of_this_machine() if is_here else None


@functools.cache
def _of_this_machine() -> str:
    path = Path(BTF)
    return files.sha256(path) if path.is_file() else NONE
