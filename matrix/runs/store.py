"""The run directory: a result per cell, its transcript and logs. Every write is atomic."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from matrix import __version__, files, paths
from matrix.config import load
from matrix.errors import UsageError, from_system
from matrix.files import flush_folder, make_folder, write
from matrix.model.base import first_problem
from matrix.model.cell import Limits
from matrix.model.result import CellResult, RequirementVerdict
from matrix.runs import transcripts
from matrix.runs.run_settings import PLAIN, SETTINGS_VERSION, RunSettings
from matrix.untrusted import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.config.load import Config
    from matrix.model.base import Frozen
    from matrix.model.cell import Cell
    from matrix.runs.run_kind import RunKind
    from matrix.runs.shard import Shard
    from matrix.scenario.transcript import Transcript


_NAMES_RUNS = "`perf-matrix runs` names the runs."
DAMAGED = "Remove the file: --resume does the cell again."
_REQUIRED = TypeAdapter(dict[str, RequirementVerdict])


@dataclass(frozen=True)
class Run:
    """One run's directory."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name, which its containers carry as a label."""
        return self.folder.name

    @property
    def pins(self) -> Path:
        """The folder that notes which content each tree of the run had."""
        return self.folder / "trees"

    def save_settings(self, settings: RunSettings) -> None:
        """Store the run's settings in run.json."""
        write(self.folder / "run.json", _text(settings))

    def settings(self) -> RunSettings:
        """Return the run's settings.

        Raises:
            UsageError: the folder holds no run, or one of another version.

        """
        path = self.folder / "run.json"
        try:
            text = files.read(path)
            self._refuse_other_versions(json.loads(text))
            return RunSettings.model_validate_json(text)
        except OSError as error:
            raise from_system(f"{self.folder} holds no run: {error}", _NAMES_RUNS, error) from error
        except (ValueError, RecursionError) as error:  # json recurses once for each bracket
            raise UsageError(f"{self.folder} holds no run: {first_problem(error)}", _NAMES_RUNS) from error

    def _refuse_other_versions(self, settings: Any) -> None:
        """Refuse settings that another version of this program wrote; settings of version 1 had no `schema_version`."""
        if not isinstance(settings, dict) or "tool_version" not in settings:
            return
        version = settings.get("schema_version", 1)
        if version != SETTINGS_VERSION:
            raise UsageError(
                f"run {self.folder} was written by perf-build-matrix {settings['tool_version']} in version {version} of"
                f" run.json; this one, {__version__}, reads version {SETTINGS_VERSION}",
                "Read it with the version that wrote it, or begin the run anew; `perf-matrix runs` names the others.",
            )

    def configuration(self) -> Config:
        """Return the configuration that the run was begun with, as its files are now.

        Raises:
            UsageError: a folder of it is gone, or a file is wrong.

        """
        return load.load([Path(folder) for folder in self.settings().configs])

    def extend(self, cells: Sequence[str], trees: Sequence[str] = ()) -> None:
        """Add cells (ids) and trees (words for them) to the run's settings, after those that are there."""
        settings = self.settings()
        more = {
            "cells": tuple(dict.fromkeys((*settings.cells, *cells))),
            "trees": tuple(dict.fromkeys((*settings.trees, *trees))),
        }
        self.save_settings(settings.model_copy(update=more))

    def limit_time(self, run_s: int) -> None:
        """Store the time in seconds after which the run is ended; 0 for none."""
        self.save_settings(self.settings().model_copy(update={"run_s": run_s}))

    def reuse_nothing(self) -> None:
        """Store that every cell of the run is built, whatever earlier runs have."""
        self.save_settings(self.settings().model_copy(update={"fresh": True}))

    def forget(self, cell_id: str) -> None:
        """Remove a cell's result, transcript and progress, so that the cell is lacking again."""
        for name in ("result.json", "transcript.json.gz", "progress.json"):
            (self.cell(cell_id) / name).unlink(missing_ok=True)

    @property
    def readable(self) -> bool:
        """Whether the run has settings that this version wrote."""
        try:
            self.settings()
        except UsageError:
            return False
        return True

    @property
    def begun(self) -> bool:
        """Whether any of its cells was begun."""
        return (self.folder / "cells").is_dir()

    def save_required(self, required: dict[str, RequirementVerdict]) -> None:
        """Store the verdict on each requirement on times, with its reason, in required.json."""
        write(self.folder / "required.json", _REQUIRED.dump_json(required, indent=1).decode())

    def required(self) -> dict[str, RequirementVerdict]:
        """Return the verdict on each requirement on times, with its reason, by the requirement's text.

        Raises:
            UsageError: required.json does not hold such verdicts.

        """
        path = self.folder / "required.json"
        try:
            return _REQUIRED.validate_json(files.read(path)) if path.is_file() else {}
        except ValueError as error:
            hint = "Remove the file: `perf-matrix gate --resume` measures once more."
            raise UsageError(f"{path} is not what a gate wrote: {first_problem(error)}", hint) from error

    def cell(self, cell_id: str) -> Path:
        """Return a cell's folder."""
        return self.folder / "cells" / cell_id

    def save(self, result: CellResult) -> None:
        """Store a cell's result."""
        write(self.cell(result.id) / "result.json", _text(result))

    def result(self, cell_id: str) -> CellResult | None:
        """Return a cell's result, or nothing where there is none yet.

        Raises:
            UsageError: result.json holds no result, or that of another cell.

        """
        path = self.cell(cell_id) / "result.json"
        if not path.is_file():
            return None
        try:
            result = CellResult.model_validate_json(files.read(path))
        except ValueError as error:
            raise UsageError(f"{path} is no result: {first_problem(error)}", DAMAGED) from error
        if result.id != cell_id:
            raise UsageError(f"{path} is no result of {cell_id}: it is one of {result.id}", DAMAGED)
        return result

    def results(self) -> Iterator[CellResult]:
        """Yield the results of cells that have one, in the order of the run's cells."""
        for cell_id in self.settings().cells:
            result = self.result(cell_id)
            if result is not None:
                yield result

    def transcript_path(self, cell_id: str) -> Path:
        """Return the file of a cell's transcript."""
        return self.cell(cell_id) / "transcript.json.gz"

    def save_transcript(self, cell_id: str, blocks: Iterable[bytes]) -> None:
        """Store a cell's transcript, compressed, for checks made later."""
        transcripts.write(self.transcript_path(cell_id), blocks)

    def forget_result(self, cell_id: str) -> None:
        """Remove a cell's result, so that the cell is lacking again; its transcript and logs stay until it begins."""
        (self.cell(cell_id) / "result.json").unlink(missing_ok=True)

    def forget_transcript(self, cell_id: str) -> None:
        """Remove a cell's transcript, if there is one."""
        self.transcript_path(cell_id).unlink(missing_ok=True)

    def transcript(self, cell_id: str) -> Transcript | None:
        """Return a cell's transcript, or nothing where there is none.

        Raises:
            UsageError: transcript.json.gz is cut short, no gzip, or no transcript.

        """
        path = self.transcript_path(cell_id)
        return transcripts.read(path) if path.is_file() else None

    def progress(self, cell_id: str, step: str) -> None:
        """Store the chapter that a cell is at (a step, say) for progress; an empty one means that it has ended."""
        write(self.cell(cell_id) / "progress.json", json.dumps({"step": step, "since": time.time()}), flushed=False)

    def at(self, cell_id: str) -> tuple[str, float] | None:
        """Return the chapter that a cell is at and since when, in seconds since the epoch; None if none can be read."""
        path = self.cell(cell_id) / "progress.json"
        try:
            found = json.loads(files.read(path))
            return str(found["step"]), float(found["since"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None


def _text(kept: Frozen) -> str:
    """Return a noun as JSON, in which a string that UTF-8 has no bytes for is written with escapes."""
    return json.dumps(encodable(kept.model_dump(mode="json")), indent=1)


def runs() -> list[Run]:
    """Return the runs of the state folder, newest first."""
    folder = paths.state() / "runs"
    found = [path.parent for path in folder.glob("*/run.json")] if folder.is_dir() else []
    return [Run(path) for path in sorted(found, reverse=True)]


def find(name: str | None) -> Run:
    """Return the run of this name or folder; the newest without one.

    Raises:
        UsageError: there is no such run.

    """
    if name and (Path(name) / "run.json").is_file():
        return Run(Path(name))
    matching = [run for run in runs() if name in (None, run.name)]
    if not matching:
        known = ", ".join(run.name for run in runs()[:5]) or "none yet"
        raise UsageError(f"no run {name or 'at all'}", f"The newest are: {known}.")
    return matching[0]


def new_run() -> Run:
    """Return a new run, its directory made; names sort by time."""
    # The random digits let two runs begin in one second.
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    folder = paths.state() / "runs" / name
    make_folder(folder.parent)
    folder.mkdir()
    flush_folder(folder.parent)
    return Run(folder)


def begin(  # noqa: PLR0913 - a run's settings
    cells: Sequence[Cell],
    trees: Sequence[str],
    configs: Sequence[str],
    jobs: int,
    limits: Limits | None = None,
    *,
    base: str = "",
    kind: RunKind = PLAIN,
    shard: Shard | None = None,
) -> Run:
    """Return a new run of these cells, its settings kept."""
    run = new_run()
    run.save_settings(
        RunSettings(
            run=run.name,
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            tool_version=__version__,
            configs=tuple(configs),
            trees=tuple(trees),
            cells=tuple(cell.id for cell in cells),
            jobs=jobs,
            limits=limits or Limits(),
            base=base,
            kind=kind,
            shard=shard,
        )
    )
    return run
