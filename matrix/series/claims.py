"""The run that decides the claims of a series: the cells that they name, on the tree and on the tree before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.runs import schedule, store
from matrix.runs.run_kind import ClaimsRun
from matrix.timing import comparison_files
from matrix.verdicts import claims

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.config.selection import Selection
    from matrix.errors import ExitStatus
    from matrix.runs.store import Run
    from matrix.verdicts.claims import ClaimRow


@dataclass(frozen=True)
class ClaimsResult:
    """The claims with their answers; `tree` and `base` are the user's words for the two trees."""

    run: Run
    tree: str
    base: str
    rows: tuple[ClaimRow, ...]
    exit_status: ExitStatus


def begin(asked: Selection, config: Config, number: int, jobs: int) -> Run:
    """Begin a run that decides the claims about the tree of a selection, compared with its base.

    `number` cells run at once, make with `jobs` jobs in each, 0 for the default numbers.

    Raises:
        UsageError: a tree does not exist.

    """
    # The tree first, the base last: `result` finds both again by these positions.
    words = tuple(dict.fromkeys((*asked.trees, asked.base)))
    names = [tree_words.tree(config, word).name for word in (*asked.trees, asked.base)]
    known = config.claims.values()
    ids = [place.on(name) for place in claims.places(known) for name in names]
    cells = selection.on_trees(config, ids, words)
    sharing = schedule.jobs_of(cells, names[-1], number, jobs)
    kind = ClaimsRun(checks=claims.check_names(known))
    return store.begin(cells, words, asked.folders, sharing, base=names[-1], kind=kind)


def result(run: Run, config: Config) -> ClaimsResult:
    """Return the answers to the claims, by the results of a run and the comparisons measured on this machine."""
    words = run.settings().trees
    tree, base = words[0], words[-1]
    names = [tree_words.tree(config, word).name for word in (tree, base)]
    known = config.claims.values()
    results = {result.id: result for result in run.results()}
    rows = claims.claim_rows(known, names[0], names[1], results, comparison_files.comparisons())
    status = claims.exit_status(rows, claims.undecided_cells(known, names, results))
    return ClaimsResult(run, tree, base, rows, status)
