"""What a series of patches comes to, patch by patch. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from matrix import gate
from matrix.gate import Held
from matrix.model import Frozen
from matrix.result import CellResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MANIFEST = "tools/perf/MANIFEST"
BASE = "base"


class Step(Frozen):
    """A patch of a series, and the name of the tree that it makes with all before it or, `alone`, with what it `needs`.

    What is `idle` changes nothing that perf is built from.
    """

    number: int
    subject: str
    tree: str
    idle: bool = False
    alone: bool = False
    needs: tuple[int, ...] = ()


class Row(Frozen):
    """What a patch came to: each cell that was run after it held against the base, or nothing where none was."""

    step: Step
    held: tuple[Held, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL where a cell newly fails, ERROR where the infrastructure did, SKIP where none was run."""
        if any(held.broken for held in self.held):
            return Verdict.FAIL
        if any(held.undecided for held in self.held):
            return Verdict.ERROR
        return Verdict.PASS if self.held else Verdict.SKIP


class Outcome(Frozen):
    """A whole series: `first` maps each cell that newly fails after some patch to the number of the first such one.

    `mended` maps those of them that no longer fail at the end to the patch that they no longer fail after.
    """

    schema_version: Literal[1] = 1
    run: str
    base: str
    rows: tuple[Row, ...]
    first: dict[str, int]
    mended: dict[str, int] = Field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """0 where nothing newly fails, 1 where something does, 3 where the infrastructure left something open."""
        verdicts = {row.verdict for row in self.rows}
        if Verdict.FAIL in verdicts:
            return 1
        return 3 if Verdict.ERROR in verdicts or verdicts <= {Verdict.SKIP} else 0


def patterns(manifest: str) -> tuple[str, ...]:
    """Return what tools/perf/MANIFEST lists: the files and folders that perf's own source package is made of."""
    return tuple(line.strip() for line in manifest.splitlines() if line.strip())


def is_idle(files: Iterable[str], listed: Sequence[str]) -> bool:
    """Return whether files are none that perf is built from: `listed` names those, as globs; nothing listed is all."""
    return bool(listed) and not any(
        fnmatchcase(file, glob) or fnmatchcase(file, f"{glob}/*") for file in files for glob in listed
    )


def rows(steps: Sequence[Step], places: Sequence[str], results: Mapping[str, CellResult]) -> tuple[Row, ...]:
    """Return what became of each patch in the cells (`IMAGE/TOOLCHAIN/BUILD`) that there are results of."""
    found: list[Row] = []
    for step in steps:
        held = tuple(
            gate.hold(place, step.tree, results.get(f"{place}@{BASE}"), results[f"{place}@{step.tree}"])
            for place in places
            if f"{place}@{step.tree}" in results
        )
        found.append(Row(step=step, held=held))
    return tuple(found)


def suspects(found: Sequence[Row], place: str) -> tuple[int, int] | None:
    """Return between which two rows a cell that fails at the end begins to: the last that is right and the first not.

    -1 stands for the base. Nothing where the end is right, or was not run.
    """
    said = _said(found, place)
    if not said or not said[max(said)]:
        return None
    bad = min(at for at in said if all(said[later] for later in said if later >= at))
    return max((at for at in said if at < bad), default=-1), bad


def _said(found: Sequence[Row], place: str) -> dict[int, bool]:
    """Return for each row that a cell was run in whether it newly fails."""
    return {
        at: bool(held.broken)
        for at, row in enumerate(found)
        for held in row.held
        if held.cell == place and not held.undecided
    }


def between(suspected: tuple[int, int], steps: Sequence[Step]) -> int | None:
    """Return which row to run next, halfway between two; nothing where only idle patches are between them."""
    good, bad = suspected
    open_ones = [at for at in range(good + 1, bad) if not steps[at].idle]
    return open_ones[len(open_ones) // 2] if open_ones else None


def outcome(run: str, base: str, found: Sequence[Row], places: Sequence[str]) -> Outcome:
    """Return what a series comes to."""
    first: dict[str, int] = {}
    mended: dict[str, int] = {}
    for place in places:
        said = _said(found, place)
        bad = [at for at in said if said[at]]
        if bad:
            first[place] = found[min(bad)].step.number
            if max(bad) != max(said):
                mended[place] = found[min(at for at in said if at > max(bad))].step.number
    return Outcome(run=run, base=base, rows=tuple(found), first=first, mended=mended)


def needed(numbers: Sequence[int], number: int, applies: Callable[[Sequence[int]], bool]) -> tuple[int, ...]:
    """Return those of the patches before `number` without which it does not apply; `applies` tries some, in order.

    Each is left out in turn, the latest first, and stays out where the rest still applies.
    """
    kept = [other for other in numbers if other < number]
    for other in reversed(kept[:]):
        rest = [one for one in kept if one != other]
        if applies([*rest, number]):
            kept = rest
    return tuple(kept)
