"""The index of results that other runs may reuse: a file in the state folder for each key of a result or transcript."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from matrix import files, paths
from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.cell_id import CellId
from matrix.runs.store import Run
from matrix.verdicts import result_key

if TYPE_CHECKING:
    from matrix.model.result import CellResult

FOLDER = "results"
"""The folder of the state folder with the index."""


class KeptResult(Frozen):
    """An entry of the index: the run directory and the cell of it with the result of a key.

    `sha256` is the digest of the transcript's file. A `doubtful` result fails; a `confirmed` one was built a second
    time, and both agreed.
    """

    format: Literal[1] = 1
    key: str
    folder: str
    cell: CellId
    sha256: str
    doubtful: bool
    confirmed: bool = False

    @property
    def transcript(self) -> Path:
        """The file of the transcript."""
        return self.run.transcript_path(self.cell)

    @property
    def run(self) -> Run:
        """The run that built the result."""
        return Run(Path(self.folder))

    def result(self) -> CellResult | None:
        """Return the result, or nothing where it or its transcript is gone, is damaged, or has another key now."""
        try:
            found = self.run.result(self.cell)
            is_whole = files.sha256(self.transcript) == self.sha256
        except (UsageError, OSError):
            return None
        if found is None or not is_whole:
            return None
        has_key = self.key in (found.key, found.transcript_key)
        return found if has_key and result_key.may_be_reused(found) else None


def _path(key: str) -> Path:
    return paths.state() / FOLDER / f"{key}.json"


def find(key: str) -> KeptResult | None:
    """Return the entry of a key; nothing where there is none, or its file is damaged."""
    try:
        found = KeptResult.model_validate(files.read_sealed_json(_path(key)))
    except ValidationError:
        return None
    return found if found.key == key else None


def note(key: str, run: Run, result: CellResult, *, confirmed: bool = False) -> None:
    """Enter a result of a run, in place of an earlier one of the same key."""
    entry = KeptResult(
        key=key,
        folder=str(run.folder.absolute()),
        cell=result.id,
        sha256=files.sha256(run.transcript_path(result.id)),
        doubtful=result.verdict.fails,
        confirmed=confirmed,
    )
    files.write_sealed(_path(key), entry.model_dump_json().encode())


def forget(key: str) -> None:
    """Remove the entry of a key, so that its cell is built again."""
    _path(key).unlink(missing_ok=True)


def lost() -> list[Path]:
    """Return the files of entries whose result is no longer there."""
    return [path for path in sorted((paths.state() / FOLDER).glob("*.json")) if not _is_there(path.stem)]


def _is_there(key: str) -> bool:
    kept = find(key)
    return kept is not None and kept.transcript.is_file()
