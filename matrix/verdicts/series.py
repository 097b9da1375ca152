"""What a series of patches comes to, patch by patch. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.result import CellResult, Verdict
from matrix.verdicts import regressions
from matrix.verdicts.regressions import CellComparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId

BASE = "base"


class PatchTree(Frozen):
    """A patch of a series, and the name of the tree that it makes with all before it or, `alone`, with what it `needs`.

    What is `idle` changes nothing that perf is built from. `may_go_on_with` is the tree whose build this one
    may go on with, if any; whether it did is its results' to say.
    """

    number: int
    subject: str
    tree: str
    idle: bool = False
    alone: bool = False
    needs: tuple[int, ...] = ()
    may_go_on_with: str = ""


class PatchResult(Frozen):
    """What a patch came to: each cell that was run after it held against the base, or nothing where none was."""

    step: PatchTree
    held: tuple[CellComparison, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL where a cell newly fails, ERROR where the infrastructure did, SKIP where none was run."""
        if any(held.broken for held in self.held):
            return Verdict.FAIL
        if any(held.undecided for held in self.held):
            return Verdict.ERROR
        return Verdict.PASS if self.held else Verdict.SKIP


class Break(Frozen):
    """What newly fails in a cell (`IMAGE/TOOLCHAIN/BUILD`), each as `CHECK KIND:SUBJECT`, from one patch on.

    `suspects` are the patches that it may be: one, where all between were run. `mended` is the patch after which it no
    longer fails, 0 where it fails to the end.
    """

    cell: str
    keys: tuple[str, ...]
    suspects: tuple[int, ...]
    mended: int = 0


class SeriesResult(Frozen):
    """A whole series, patch by patch, and what it breaks."""

    schema_version: Literal[1] = 1
    run: str
    base: str
    rows: tuple[PatchResult, ...]
    breaks: tuple[Break, ...]

    @property
    def exit_status(self) -> ExitStatus:
        """0 where nothing newly fails, 1 where something does, 3 where the infrastructure left something open."""
        verdicts = {row.verdict for row in self.rows}
        if Verdict.FAIL in verdicts:
            return ExitStatus.CELLS_FAILED
        examined = any(held.examined for row in self.rows for held in row.held)
        decided = examined and Verdict.ERROR not in verdicts
        return ExitStatus.OK if decided else ExitStatus.INFRASTRUCTURE


def patterns(manifest: str) -> tuple[str, ...]:
    """Return what tools/perf/MANIFEST lists: the files and folders that perf's own source package is made of."""
    return tuple(line.strip() for line in manifest.splitlines() if line.strip())


def is_idle(files: Iterable[str], listed: Sequence[str]) -> bool:
    """Return whether files are none that perf is built from: `listed` names those, as globs; nothing listed is all."""
    return bool(listed) and not any(
        fnmatchcase(file, glob) or fnmatchcase(file, f"{glob}/*") for file in files for glob in listed
    )


def rows(
    steps: Sequence[PatchTree], wanted: Sequence[CellId], results: Mapping[CellId, CellResult]
) -> tuple[PatchResult, ...]:
    """Return what became of each patch in the cells that were `wanted`, by their ids."""
    found: list[PatchResult] = []
    for step in steps:
        places = [cell_id.place for cell_id in wanted if cell_id.tree == step.tree]
        held = tuple(
            regressions.compare_cell(place, step.tree, results.get(place.on(BASE)), results.get(place.on(step.tree)))
            for place in places
        )
        found.append(PatchResult(step=step, held=held))
    return tuple(found)


def _known(found: Sequence[PatchResult], place: str) -> dict[int, frozenset[str]]:
    """Return for each row that a cell was run in what newly fails there."""
    return {
        at: frozenset(f"{said.check} {said.finding.key}" for said in held.broken)
        for at, row in enumerate(found)
        for held in row.held
        if held.cell == place and not held.undecided
    }


def _first(known: Mapping[int, frozenset[str]], key: str) -> tuple[int, int]:
    """Return the last row before which something does not fail, -1 for the base, and the first in which it does."""
    bad = min(at for at in known if key in known[at])
    return max((at for at in known if at < bad), default=-1), bad


def following(found: Sequence[PatchResult], place: str) -> int | None:
    """Return the row to run a cell in next, to find the first patch of what fails at its end; nothing if it is found.

    It is in the middle of those that it may be; idle patches are none of them.
    """
    known = _known(found, place)
    tried = {at for at, row in enumerate(found) for held in row.held if held.cell == place}
    for key in sorted(known[max(known)]) if known else ():
        good, bad = _first(known, key)
        unknown = [at for at in range(good + 1, bad) if at not in tried and not found[at].step.idle]
        if unknown:
            return unknown[len(unknown) // 2]
    return None


def outcome(run: str, base: str, found: Sequence[PatchResult]) -> SeriesResult:
    """Return what a series comes to."""
    places = dict.fromkeys(held.cell for row in found for held in row.held)
    breaks: list[Break] = []
    for place in places:
        known = _known(found, place)
        alike: dict[tuple[tuple[int, ...], int], list[str]] = {}
        for key in sorted({key for keys in known.values() for key in keys}):
            good, bad = _first(known, key)
            suspects = [found[at].step.number for at in range(good + 1, bad) if not found[at].step.idle]
            last = max(at for at in known if key in known[at])
            later = [found[at].step.number for at in known if at > last]
            alike.setdefault(((*suspects, found[bad].step.number), min(later, default=0)), []).append(key)
        breaks += [
            Break(cell=place, keys=tuple(keys), suspects=suspects, mended=mended)
            for (suspects, mended), keys in alike.items()
        ]
    return SeriesResult(run=run, base=base, rows=tuple(found), breaks=tuple(breaks))


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
