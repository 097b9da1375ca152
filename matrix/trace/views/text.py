"""The view for a terminal: tables of a traced step's cost, its leaves, its serial time, its programs and its makes."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.trace.lanes import short
from matrix.trace.views import View
from matrix.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.trace.cost import Account
    from matrix.trace.simulation import PathItem
    from matrix.trace.timeline import Timeline

# The width of the text, in columns, whatever the terminal: the view is also a file.
WIDTH = 120
# The most lines of each table; the rest of it is summed up in one more line.
SERIAL = 12
PROGRAMS = 15
MAKES = 12
LEAVES = 12
BAR_CHARS = 50
TINY_S = 1e-9
"""A duration, in seconds, to divide by in place of 0."""


def render(cell: str, step: str, _timeline: Timeline, account: Account, critical: Sequence[PathItem] = ()) -> str:
    """Return the account of a step as tables."""
    out = io.StringIO()
    # Without colour and terminal codes: the text is the same on a terminal, in a file and in a mail.
    console = Console(
        file=out, width=WIDTH, force_terminal=False, no_color=True, markup=False, emoji=False, highlight=False
    )
    console.print(_safe(f"{cell}: {step}, as it was traced"), soft_wrap=True)
    console.print(_headline(account), "")
    path = [_path(critical)] if critical else []
    for table in (_leaves(account), _serial(account), *path, _programs(account), _makes(account)):
        console.print(table)
    # rich pads each line to the width of the table.
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _headline(account: Account) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for label, figure, unit in _figures(account):
        table.add_row(label, Text(figure, justify="right"), unit)
    return table


def _figures(account: Account) -> Iterator[tuple[str, str, str]]:
    yield "wall", f"{account.wall_s:.1f}", "s"
    yield "work", f"{account.work_s:.1f}", "s of CPU time"
    yield "parallelism", f"{account.parallelism:.2f}", "work / wall"
    yield "processes", f"{account.processes:,}", f"{account.failed:,} of them with an exit status other than 0"
    yield "makefile parses", f"{account.parses:,}", ""
    yield "$(shell)", f"{account.shell_functions:,}", f"functions, {account.shell_processes:,} processes below them"
    yield "compiler runs", f"{account.compiler_runs:,}", ""
    yield "peak memory", f"{account.rss_bytes / (1 << 20):.0f}", "MiB, of one process"


def _leaves(account: Account) -> Table:
    """Return the table of the seconds by the number of running leaves.

    0 and 1 share a line, as in both the step would not have been faster on more cores.
    """
    seconds: dict[str, float] = defaultdict(float)
    for count, wall_s in sorted(account.leaves_s.items()):
        seconds[_leaves_label(count)] += wall_s
    whole_s = max(account.wall_s, TINY_S)
    most_s = max((TINY_S, *seconds.values()))
    table = _table("leaves running", ">leaves", ">seconds", ">of wall", "")
    for label, wall_s in seconds.items():
        bar = "█" * round(BAR_CHARS * wall_s / most_s)
        table.add_row(label, f"{wall_s:.2f}", f"{wall_s / whole_s:.1%}", bar)
    return table


def _leaves_label(count: int) -> str:
    if count <= 1:
        return "0 or 1"
    return str(count) if count < LEAVES else f"{LEAVES} or more"


def _serial(account: Account) -> Table:
    table = _table(f"what ran alone: {account.serial_s:.1f} s", ">seconds", "for")
    for one in account.serial[:SERIAL]:
        table.add_row(f"{one.wall_s:.2f}", _safe(short(one.name)))
    rest = account.serial[SERIAL:]
    if rest:
        table.add_row("", f"and {len(rest)} more: {sum(one.wall_s for one in rest):.2f} s")
    return table


def _path(critical: Sequence[PathItem]) -> Table:
    """Return the table of the longest items of the critical path, in the order of the path."""
    whole_s = sum(item.wall_s for item in critical)
    table = _table(f"critical path: {whole_s:.1f} s of CPU time in {len(critical):,} jobs", ">seconds", "for", "after")
    shown = sorted(sorted(critical, key=lambda item: -item.wall_s)[:SERIAL], key=critical.index)
    for item in shown:
        table.add_row(f"{item.wall_s:.2f}", _safe(short(item.name)), _safe(item.waited_for))
    if len(critical) > len(shown):
        rest_s = whole_s - sum(item.wall_s for item in shown)
        table.add_row("", f"and {len(critical) - len(shown)} more: {rest_s:.2f} s", "")
    return table


def _programs(account: Account) -> Table:
    table = _table("processes by program", ">processes", "program")
    programs = list(account.programs.items())
    for program, count in programs[:PROGRAMS]:
        table.add_row(f"{count:,}", _safe(program))
    rest = programs[PROGRAMS:]
    if rest:
        table.add_row("", f"and {len(rest)} more: {sum(count for _, count in rest):,} processes")
    return table


def _makes(account: Account) -> Table:
    table = _table(f"makes: {len(account.makes):,}", ">seconds", ">from", ">recipe processes", ">$(shell)", "goal")
    longest = sorted(account.makes, key=lambda make: (-make.wall_s, make.start_s))
    for make in longest[:MAKES]:
        times = f"{make.wall_s:.2f}", f"{make.start_s:.2f}"
        table.add_row(*times, f"{make.recipe_processes:,}", f"{make.shell_functions:,}", _safe(short(make.goal)))
    rest = longest[MAKES:]
    if rest:
        recipe, shell = sum(make.recipe_processes for make in rest), sum(make.shell_functions for make in rest)
        table.add_row("", "", f"{recipe:,}", f"{shell:,}", f"and {len(rest)} more")
    return table


def _table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose title begins with `>` is aligned to the right."""
    table = Table(
        title=Text(title, no_wrap=True, overflow="ignore"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table


def _safe(text: str) -> Text:
    return Text(one_line(text))


VIEW = View(suffix=".txt", render=render)
