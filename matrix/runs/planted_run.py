"""The run of planted faults: each fault in copies of the unedited tree's build, in the cells that are to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.runs import schedule, store
from matrix.runs.run_kind import MutantsRun
from matrix.verdicts import mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.config.selection import Selection
    from matrix.model.edit import Edit
    from matrix.runs.store import Run
    from matrix.verdicts.mutants import MutantsResult


def begin(faults: Sequence[Edit], asked: Selection, config: Config, number: int, jobs: int) -> Run:
    """Begin a run that plants faults in the tree of a selection.

    `number` cells run at once, make with `jobs` jobs in each; 0 for what suits this machine.

    Raises:
        UsageError: there is no such tree.

    """
    [tree] = asked.trees
    words = [tree, *(f"{tree}+{fault.name}" for fault in faults)]
    cells = selection.on_trees(config, mutants.wanted_cells(faults, tree), words)
    base = tree_words.tree(config, tree).name
    sharing = schedule.jobs_of(cells, base, number, jobs)
    kind = MutantsRun(planted=mutants.digests(faults))
    return store.begin(cells, words, asked.folders, sharing, base=base, kind=kind)


def faults_of(run: Run, config: Config) -> tuple[Edit, ...]:
    """Return the faults that a run plants.

    Raises:
        UsageError: one of them is no longer there, or is another now.

    """
    kind = run.settings().kind
    assert isinstance(kind, MutantsRun)
    return mutants.faults_of_run(config.edits, kind.planted)


def result(run: Run, faults: Sequence[Edit]) -> MutantsResult:
    """Return the outcome of each fault of a run, and the score."""
    tree = run.settings().trees[0]
    return mutants.mutants_result(run.name, tree, faults, {result.id: result for result in run.results()})
