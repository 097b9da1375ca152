"""The health of a worker's machine: whether an ERROR may be the machine's fault, so that another is to try."""

from __future__ import annotations

import shutil

from matrix import paths
from matrix.engine import backends
from matrix.errors import InfrastructureError
from matrix.runs.launch import FULL_BYTES


def fault() -> str:
    """Return the reason why no cell can be run on this machine now; nothing where one can."""
    for folder in (paths.state(), paths.cache()):
        if folder.is_dir() and shutil.disk_usage(folder).free < FULL_BYTES:
            return f"the disk of {folder} is full"
    try:
        backends.connect().describe()
    except InfrastructureError as error:
        return f"its engine does not answer: {error.message}"
    return ""
