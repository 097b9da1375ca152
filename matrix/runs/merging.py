"""One run of several: those of the shards of a run, or any that do not contradict each other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from matrix import files
from matrix.errors import UsageError
from matrix.model.result import Verdict
from matrix.runs import cell_files, store
from matrix.runs.run_kind import GateRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult, RequirementVerdict
    from matrix.runs.run_kind import RunKind
    from matrix.runs.run_settings import RunSettings
    from matrix.runs.store import Run

_HINT = "Merge runs of one command, on the same trees, by the same version."


def merge(runs: Sequence[Run]) -> Run:
    """Return a new run with the cells and results of several; those stay as they are.

    The cells of a shard that is not among the runs are lacking in the new one.

    Raises:
        UsageError: two runs contradict each other, or one of them is no run.

    """
    _refuse_one_run_twice(runs)
    settings = {run: run.settings() for run in runs}
    _refuse_contradiction({run.name: found for run, found in settings.items()})
    results = {run: {result.id: result for result in run.results()} for run in runs}
    chosen = chosen_results({run.name: found for run, found in results.items()})
    required = _required(runs)
    made = store.new_run()
    try:
        made.save_settings(merged(made.name, list(settings.values())))
        by_name = {run.name: run for run in runs}
        for cell_id, name in chosen.items():
            cell_files.copy(by_name[name], cell_id, made)
        _copy_notes_of_trees(runs, made)
        if required:
            made.save_required(required)
    except BaseException:
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    return made


def _refuse_one_run_twice(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"run {twice[0]} is named twice", "Name each run once; a run's folder keeps its name.")


def _comparable(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that runs to be merged have in common, by their names in messages."""
    shard = settings.shard
    return {
        "version of the program": settings.tool_version,
        "command": settings.kind.command,
        "base": settings.base,
        "limits": settings.limits,
        "kind": _without_requirements(settings.kind),
        "number of shards": shard.of if shard else None,
        "selection of cells": shard.whole if shard else None,
    }


def _without_requirements(kind: RunKind) -> RunKind:
    """Return a kind without a gate's requirements on times, which only one of its shards measures."""
    return kind.model_copy(update={"require": ()}) if isinstance(kind, GateRun) else kind


def _refuse_contradiction(settings: Mapping[str, RunSettings]) -> None:
    (first, its), *others = settings.items()
    expected = _comparable(its)
    for name, other in others:
        found = _comparable(other)
        for word in expected:
            if found[word] != expected[word]:
                raise UsageError(f"runs {first} and {name} differ in their {word}", _HINT)


def chosen_results(results: Mapping[str, Mapping[CellId, CellResult]]) -> dict[CellId, str]:
    """Return the name of the run from which each cell's result is taken.

    A result is taken before an ERROR, which is the infrastructure's fault, and the first run's before another's.

    Args:
        results: the results of each run by the cell, by the run's name.

    Raises:
        UsageError: a tree has two contents, or a cell two verdicts.

    """
    chosen: dict[CellId, str] = {}
    contents: dict[str, str] = {}
    for name, found in results.items():
        for cell_id, result in found.items():
            _refuse_another_content(result, contents, name)
            before = results[chosen[cell_id]][cell_id] if cell_id in chosen else None
            _refuse_another_verdict(before, result)
            if before is None or before.verdict == Verdict.ERROR:
                chosen[cell_id] = name
    return chosen


def _refuse_another_content(result: CellResult, contents: dict[str, str], run: str) -> None:
    if result.tree is None:
        return
    sha256 = contents.setdefault(result.tree.name, result.tree.sha256)
    if sha256 != result.tree.sha256:
        raise UsageError(
            f"tree {result.tree.name} has another content in run {run} than in a run before it",
            "Name a commit, not a branch, so that every machine has the same tree.",
        )


def _refuse_another_verdict(before: CellResult | None, result: CellResult) -> None:
    if before is None or Verdict.ERROR in (before.verdict, result.verdict) or before.verdict == result.verdict:
        return
    raise UsageError(
        f"{result.id} is {before.verdict} in run {before.run} and {result.verdict} in run {result.run}",
        "One cell has one verdict: look at both runs, and leave one out.",
    )


def merged(name: str, settings: Sequence[RunSettings]) -> RunSettings:
    """Return the settings of the run `name` that has the cells and trees of all these, which do not contradict."""
    first = settings[0]
    cells = first.shard.whole if first.shard else _each_once(found.cells for found in settings)
    requirements = [found.kind for found in settings if isinstance(found.kind, GateRun) and found.kind.require]
    update = {
        "run": name,
        "started": min(found.started for found in settings),
        "trees": _each_once(found.trees for found in settings),
        "cells": cells,
        "kind": requirements[0] if requirements else first.kind,
        "shard": None,
    }
    return first.model_copy(update=update)


def _each_once(texts: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(text for some in texts for text in some))


def _required(runs: Sequence[Run]) -> dict[str, RequirementVerdict]:
    """Return the verdicts on requirements on times, which one of the runs has measured.

    Raises:
        UsageError: two of them have.

    """
    found = {run.name: verdicts for run in runs if (verdicts := run.required())}
    if len(found) > 1:
        raise UsageError(f"runs {' and '.join(found)} have both measured times", "Times of two machines are not one.")
    return next(iter(found.values()), {})


def _copy_notes_of_trees(runs: Sequence[Run], made: Run) -> None:
    """Copy the notes of the trees' contents, by which the new run can be gone on with."""
    for run in reversed(runs):
        for note in sorted(run.pins.glob("*.json")):
            if note.is_file() and not note.is_symlink():
                files.write(made.pins / note.name, files.read(note))
