"""The files of the state folder that keep what `perf-matrix compare` measured."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from matrix import files, paths
from matrix.files import write
from matrix.untrusted import encodable
from matrix.verdicts.comparison import ComparisonRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPARISONS = "comparisons"


def comparisons() -> Iterator[ComparisonRun]:
    """Yield the comparison runs that are stored, newest first; a file that holds none is left out."""
    folder = paths.state() / COMPARISONS
    for path in sorted(folder.glob("*.json"), reverse=True) if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):  # one damaged file must not hide the others from `claims`
            yield ComparisonRun.model_validate_json(files.read(path))


def save(session: ComparisonRun) -> Path:
    """Store a comparison run, and return its file."""
    path = paths.state() / COMPARISONS / f"{session.name}.json"
    write(path, json.dumps(encodable(session.model_dump(mode="json")), indent=1))
    return path
