"""The table of a series: a row per patch, and below it each new failure and the patch that begins it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from rich.text import Text

from matrix.errors import ExitStatus
from matrix.reports.tables import add_row, line, table
from matrix.untrusted import one_line
from matrix.verdicts.wording import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.reports.tables import Part
    from matrix.verdicts.series import Break, PatchResult, SeriesResult

SHOWN = 3


def parts(found: SeriesResult) -> Iterator[Part]:
    """Yield the table of a series and the lines below it."""
    made = table("patch", "", "cells", "newly fails", "subject", right=("patch", "cells"))
    for row in found.rows:
        add_row(made, *_row(row))
    yield made
    if not found.has_patches_alone:  # a break goes on from patch to patch, which patches alone do not
        yield from itertools.chain.from_iterable(_break(broken, found) for broken in found.breaks)
    if found.exit_status == ExitStatus.OK:
        yield line(f"nothing newly fails that {found.base} passed")


def _row(row: PatchResult) -> tuple[str | Text, ...]:
    cells = str(len(row.held) or "")
    return str(row.step.number), _status(row), cells, _failures(row), row.step.subject


def _status(row: PatchResult) -> str:
    """Return a patch's verdict, the tree whose build its cells continued, and the patches it was applied with."""
    words = (_verdict(row), _continued(row), _company(row))
    return " ".join(filter(None, words))


def _verdict(row: PatchResult) -> str:
    if row.step.idle:
        return "idle"
    return str(row.verdict) if row.held else "applies"


def _continued(row: PatchResult) -> str:
    """Return the trees whose kept builds the patch's cells continued from, if any."""
    trees = sorted({held.on for held in row.held if held.on})
    return f"on {', '.join(trees)}" if trees else ""


def _company(row: PatchResult) -> str:
    """Return the patches that a patch applied by itself needs, or `alone`; empty for a patch on top of all others."""
    if not row.step.alone:
        return ""
    needed = ", ".join(map(str, row.step.needs))
    return f"with {needed}" if needed else "alone"


def _failures(row: PatchResult) -> Text:
    broken = sorted({f"{held.cell}: {said.key}" for held in row.held for said in held.broken})
    undecided = [f"{held.cell}: {held.undecided}" for held in row.held if held.undecided]
    return Text("\n".join(map(one_line, [*cut(broken, SHOWN), *undecided])))


def _break(broken: Break, found: SeriesResult) -> Iterator[Text]:
    """Yield from which patch on a cell newly fails, and with which findings."""
    last = broken.suspects[-1]
    subject = next(row.step.subject for row in found.rows if row.step.number == last)
    yield line(f"{broken.cell} newly fails {_since(broken)}{_until(broken)}: {subject}")
    yield line(f"  {', '.join(cut(broken.keys, SHOWN))}")


def _since(broken: Break) -> str:
    """Return from which patch on a cell newly fails, or from one of which."""
    is_certain = len(broken.suspects) == 1
    return f"from patch {broken.suspects[0]} on" if is_certain else f"from one of {broken.suspects} on"


def _until(broken: Break) -> str:
    return f" (until patch {broken.mended})" if broken.mended else ""
