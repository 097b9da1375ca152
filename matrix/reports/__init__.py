"""Reports of runs: the facts that every format shows, and the exit status that follows from them. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.result import CellResult, RequirementVerdict, Verdict, worst
from matrix.verdicts.regressions import CellComparison, Gate
from matrix.verdicts.wording import count, cpu_time, cut

if TYPE_CHECKING:
    from collections.abc import Sequence


NOT_EXAMINED = "not examined: a step fails here and on the base, and the causes may differ"
NOT_YET_MEASURED = RequirementVerdict(Verdict.ERROR, "not yet measured")
"""The verdict on a requirement while a process does the run and its measurement is still to come: no error yet."""

UNFINISHED_SHOWN = 3
"""Lacking or running cells that a report of an unfinished run names at its beginning."""


RUNS_NAMED = 3
"""The earlier runs that the note on reused results names."""

CELLS_NAMED = 3
"""The cells that the note on limits names."""

LIMITS = ("memory", "processes")
"""The limits that an engine may not be able to enforce (see engine/limits.py)."""


class Unfinished(Frozen):
    """The work that is left of a run: `lacking` cells (ids) have no result or an ERROR, of `cells` (their number).

    A gate that lacks no cell is unfinished while it measures times. `command` goes on with the run. `running` are those
    lacking cells that run now, where a process does the run; such a run is refused to the command until the process has
    ended.
    """

    lacking: tuple[str, ...]
    cells: int
    command: str
    running: tuple[str, ...] | None = None

    @property
    def sentence(self) -> str:
        """The state of the run for people: the cells left, and the command that runs them if no process does."""
        if self.running is not None:
            return self._progress(self.running)
        left = ", ".join(cut(self.lacking, UNFINISHED_SHOWN))
        return f"not finished: {len(self.lacking)} of {count(self.cells, 'cell')} left ({left}); go on: {self.command}"

    def _progress(self, running: Sequence[str]) -> str:
        done = self.cells - len(self.lacking)
        now = f" (running: {', '.join(cut(running, UNFINISHED_SHOWN))})" if running else ""
        return f"going on: {done} of {count(self.cells, 'cell')} done, so the verdict is not final{now}"


class Report(Frozen):
    """A run as it is reported: `tree` names its trees, `missing` the cells that have no result.

    `notes` are sentences on the run as a whole. The report of a gate or of a series has a `gate`, whose verdict is that
    of the report. A run that lacks cells is `unfinished`, which every format says first.
    """

    schema_version: Literal[1] = 1
    run: str
    tree: str
    folder: str
    verdict: Verdict
    cells: tuple[CellResult, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    gate: Gate | None = None
    unfinished: Unfinished | None = None

    @property
    def check_names(self) -> list[str]:
        """The names of the checks of all cells, sorted."""
        return sorted({check.check for cell in self.cells for check in cell.checks})

    @property
    def judged_cells(self) -> list[CellResult]:
        """The cells that the verdict is on: all or, in a gate, those of the heads, as the base is not judged."""
        if self.gate is None:
            return list(self.cells)
        return [cell for cell in self.cells if cell.id.tree != self.gate.base]

    @property
    def cell_verdicts(self) -> set[Verdict]:
        """The verdicts that cells have."""
        return {cell.verdict for cell in self.cells}

    @property
    def is_complete(self) -> bool:
        """Whether there are cells, and each of them has a result that is no ERROR."""
        has_errors = bool(self.missing) or Verdict.ERROR in self.cell_verdicts
        return bool(self.cells) and not has_errors

    @property
    def is_going_on(self) -> bool:
        """Whether a process does the run now, so that lacking cells are no errors yet."""
        return self.unfinished is not None and self.unfinished.running is not None

    @property
    def verdict_word(self) -> str:
        """The verdict, or `not finished` where a run that goes on has no worse than lacking cells and errors."""
        is_open = self.is_going_on and self.verdict == Verdict.ERROR
        return "not finished" if is_open else str(self.verdict)

    @property
    def requirements(self) -> dict[str, RequirementVerdict]:
        """The requirements of the gate on times, with the verdict on each; without a gate there are none."""
        return self.gate.required if self.gate else {}

    def comparison(self, cell_id: str) -> CellComparison | None:
        """Return the gate's comparison of the cell of this id with the base, if there is one."""
        return self.gate.comparison(cell_id) if self.gate else None

    def why_missing(self, cell_id: str) -> str:
        """Return why a missing cell has no result: `running`, `not begun yet`, or that there is none."""
        running = self.unfinished.running if self.unfinished else None
        if running is None:
            return "it has no result"
        return "running" if cell_id in running else "not begun yet"

    def reproduce(self, cell_id: str) -> str:
        """Return the command that reproduces a cell; empty for a cell without a result."""
        return next((cell.reproduce for cell in self.cells if cell.id == cell_id), "")


def build(run: str, folder: str, trees: Sequence[str], wanted: Sequence[str], cells: Sequence[CellResult]) -> Report:
    """Return the report of a run; each of the `wanted` cells (ids) that has no result counts as an ERROR."""
    finished = {cell.id for cell in cells}
    missing = tuple(cell_id for cell_id in wanted if cell_id not in finished)
    verdicts = [cell.verdict for cell in cells] + [Verdict.ERROR] * len(missing)
    return Report(
        run=run,
        tree=", ".join(trees),
        folder=folder,
        verdict=worst(verdicts),
        cells=tuple(sorted(cells, key=lambda cell: cell.id)),
        missing=missing,
        notes=(
            *same_builds(cells),
            *_continued_builds(cells),
            *_shared_builds(cells),
            *_reused_results(cells),
            *_unlimited(cells),
        ),
    )


def same_builds(cells: Sequence[CellResult]) -> list[str]:
    """Return a note for each two builds of one image, toolchain and tree that gave the same program.

    Two such builds differ in make variables alone, so these variables have no effect.
    """
    return [
        f"{one.id} and {two.id} are the same build under two names: their perf is equal to the byte"
        for one, two in itertools.combinations(cells, 2)
        if _is_same_build(one, two)  # two builds of a matrix that are one test the same thing twice
    ]


def _is_same_build(one: CellResult, two: CellResult) -> bool:
    if not one.program_sha256 or one.program_sha256 != two.program_sha256:
        return False
    if one.saved_s or two.saved_s:  # it is one build, on purpose
        return False
    return _circumstances(one) == _circumstances(two)


def _circumstances(cell: CellResult) -> tuple[object, ...]:
    """Return the properties of a cell that may change its program, except make variables."""
    place = cell.id.place
    return place.image, place.toolchain, cell.id.tree, cell.environment, cell.out_of_tree


def _continued_builds(cells: Sequence[CellResult]) -> list[str]:
    """Return a note where builds continued from kept builds: their steps `build` did less than from scratch."""
    trees = list(filter(None, (cell.continued_from for cell in cells)))
    if not trees:
        return []
    names = ", ".join(sorted(set(trees)))
    number = count(len(trees), "cell")
    return [f"{number} continued from the kept build of {names}: no build of theirs is from scratch"]


def _shared_builds(cells: Sequence[CellResult]) -> list[str]:
    """Return a note where builds continued from the same one of another cell of the run.

    Those of a series, which continue from another tree's, have a note of their own, and are builds themselves.
    """
    saved = [cell.saved_s for cell in cells if cell.saved_s and not cell.reused and not cell.continued_from]
    if not saved:
        return []
    number = count(len(saved), "cell")
    return [f"{number} continued from the build of another cell, which saved {cpu_time(sum(saved))}"]


def _reused_results(cells: Sequence[CellResult]) -> list[str]:
    """Return a note where results are those of earlier runs, which it names, with the CPU time of the steps there."""
    origins = [cell.reused for cell in cells if cell.reused]
    if not origins:
        return []
    saved = cpu_time(sum(cell.cpu_s for cell in cells if cell.reused))
    runs = ", ".join(cut(sorted({origin.run for origin in origins}), RUNS_NAMED))
    again = sum(origin.judged_again for origin in origins)
    judged = f", {again} of them judged anew" if again else ""
    number = count(len(origins), "cell")
    return [f"{number} reused from {runs}, as all that they depend on is the same{judged}; saved {saved}"]


def _unlimited(cells: Sequence[CellResult]) -> list[str]:
    """Return a note for each limit that the engine of some cells did not enforce, naming the first of them."""
    return [note for limit in LIMITS for note in _without_limit(limit, cells)]


def _without_limit(limit: str, cells: Sequence[CellResult]) -> list[str]:
    found = [cell.id for cell in cells if limit in cell.host.get("limits_not_enforced", "").split(", ")]
    if not found:
        return []
    return [f"no limit on {limit} was enforced by the engine in {', '.join(cut(found, CELLS_NAMED))}: docs/engines.md"]


def exit_status(report: Report) -> ExitStatus:
    """Return the exit status of the program that printed the report.

    A FAIL goes before an ERROR, and a run of which every cell was skipped proved nothing.
    """
    if report.gate:  # the cells' own verdicts may be failures that the base has, too
        return _gate_status(report.verdict)
    return _run_status(report)


def _run_status(report: Report) -> ExitStatus:
    verdicts = report.cell_verdicts
    if any(verdict.fails for verdict in verdicts):
        return ExitStatus.CELLS_FAILED
    if not report.is_complete:
        return ExitStatus.INFRASTRUCTURE
    all_are_skipped = verdicts == {Verdict.SKIP}
    return ExitStatus.CELLS_FAILED if all_are_skipped else ExitStatus.OK


def _gate_status(verdict: Verdict) -> ExitStatus:
    # INCONCLUSIVE, of a requirement on times, fails a gate as FAIL does: it never counts as a pass.
    decided = {Verdict.PASS: ExitStatus.OK, Verdict.ERROR: ExitStatus.INFRASTRUCTURE}
    return decided.get(verdict, ExitStatus.CELLS_FAILED)
