"""The view for a browser: one HTML file that loads nothing, with the jobs of a step as bars over its time.

Names and commands come from an untrusted build: each goes through `untrusted.html`, and the page's content security
policy (https://www.w3.org/TR/CSP3/) lets no script run but the page's own, which it names by its SHA-256.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import math
from collections import defaultdict
from typing import TYPE_CHECKING

from matrix.trace import lanes
from matrix.trace.command_lines import text as command
from matrix.trace.cost import FORK
from matrix.trace.spans import leaf_spans
from matrix.trace.views import View
from matrix.untrusted import html

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.trace.cost import Account
    from matrix.trace.lanes import Bar
    from matrix.trace.simulation import PathItem
    from matrix.trace.spans import Span
    from matrix.trace.timeline import Timeline

COLOURS = {
    "compiler": ("#3a6fb8", "#6ea3e8"),
    "linker": ("#c8434f", "#f08088"),
    "generator": ("#2c9460", "#5fcb94"),
    "install": ("#b77a10", "#e3ae43"),
    "other": ("#83878f", "#a2a7b0"),
    "make": ("#8a69ba", "#b79be2"),
}
"""The colours of each kind of job on a light and on a dark background."""
# Bins of the chart of leaves: about one for each pixel of a page's width, as finer ones cannot be seen.
BINS = 900
# Heights of the chart, of the strip below it, and of the rows of jobs and of makes.
CHART_PX = 110
STRIP_PX = 14
ROW_PX = 22
MAKE_ROW_PX = 7
# The most horizontal lines in the chart.
LEVELS = 10
# The most ticks of the time axis: enough for 25 times the width; every tenth is shown at the page's own width.
TICKS = 150
MAJOR = 10
# The longest serial targets that the table lists; the rest is one line.
SERIAL = 40

# The zoom is radio buttons and style sheets alone, so that it works where the script may not run. Names of colours have
# values for light here and for dark in DARK. Every second bar is paler, so that neighbours are told apart.
STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1e23; --faint: #d5d8dd; --area: #b9c9de; --alone: #d8483b; }
body { background: var(--ground); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; margin: 1.5em; }
h1 { font-size: 1.35em; margin: 0; }
h2 { font-size: 1em; margin: 1em 0 .2em; position: sticky; left: 0; width: max-content; }
h2 small { font-weight: normal; }
ul { list-style: none; margin: .6em 0; padding: 0; } ul li { display: inline-block; margin-right: 1.4em; }
i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
i.critical { outline: 2px solid var(--ink); } i.alone { background: var(--alone); }
.scroll { overflow-x: auto; border: 1px solid var(--faint); padding: 0 .6em 1.8em; }
.plot { position: relative; isolation: isolate; } svg { display: block; width: 100%; overflow: hidden; }
#x5:checked ~ .scroll .plot { width: 500%; } #x25:checked ~ .scroll .plot { width: 2500%; }
.tick { position: absolute; top: 0; bottom: -1.6em; border-left: 1px solid var(--faint); z-index: -1; }
.tick span { position: absolute; bottom: 0; padding-left: .3em; font-size: .8em; white-space: nowrap; }
.minor { display: none; } #x5:checked ~ .scroll .minor, #x25:checked ~ .scroll .minor { display: block; }
rect:nth-of-type(even) { fill-opacity: .72; } rect:hover { fill: var(--ink); }
.critical { stroke: var(--ink); stroke-width: 2px; vector-effect: non-scaling-stroke; }
.area { fill: var(--area); } .alone { fill: var(--alone); }
.line { stroke: var(--faint); vector-effect: non-scaling-stroke; }
output { display: block; min-height: 6em; white-space: pre-wrap; overflow-wrap: anywhere; font-family: monospace; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .1em .8em .1em 0; overflow-wrap: anywhere; }
td:first-child, th:first-child { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""
DARK = ":root { --ground: #16181c; --ink: #e6e8eb; --faint: #383c43; --area: #3c4f69; --alone: #f0695c; }"
SCRIPT = """
const shown = document.querySelector("output");
document.querySelector(".plot").addEventListener("pointerover", (event) => {
  const title = event.target.querySelector(":scope > title");
  if (title) shown.textContent = title.textContent;
});
"""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>
<div>{figures}</div>
<ul>{legend}</ul>
<input type="radio" name="zoom" id="x1" checked><label for="x1">all of it</label>
<input type="radio" name="zoom" id="x5"><label for="x5">5 times</label>
<input type="radio" name="zoom" id="x25"><label for="x25">25 times as wide</label>
<div class="scroll"><div class="plot">
{ticks}
{charts}
</div></div>
<output>Point at a bar to see what it is.</output>
{serial}
<script>{script}</script>
</html>
"""


def render(cell: str, step: str, timeline: Timeline, account: Account, critical: Sequence[PathItem] = ()) -> str:
    """Return the HTML page of a step."""
    bars = lanes.jobs(timeline)
    wanted = frozenset(item.process for item in critical)
    spans = leaf_spans(timeline.tree)
    wall_s = max(timeline.tree.wall_s, 1e-3)  # a step without processes has no wall time to divide by
    makes = _makes(timeline)
    charts = [
        *_leaves(spans, wall_s),
        *_alone(timeline, spans, wall_s),
        "<h2>Jobs <small>(a row for each that runs at once)</small></h2>",
        _rows(timeline, bars, wall_s, ROW_PX, wanted),
        "<h2>Makes <small>(the ones that others started below them)</small></h2>",
        _rows(timeline, makes, wall_s, MAKE_ROW_PX, frozenset()),
    ]
    return PAGE.format(
        policy=_policy(),
        title=html(f"{cell}: {step}"),
        style=_style(),
        figures=_figures(account),
        legend="\n".join(_legend(timeline, bars, marked=bool(wanted))),
        ticks="\n".join(_ticks(wall_s)),
        charts="\n".join(charts),
        serial=_serial(account),
        script=SCRIPT,
    )


def _policy() -> str:
    # Styles may stand in the page, as each bar and tick has its own; they can load nothing under `default-src 'none'`.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _style() -> str:
    light = "\n".join(_fill(kind, colour) for kind, (colour, _) in COLOURS.items())
    dark = "\n".join(_fill(kind, colour) for kind, (_, colour) in COLOURS.items())
    return f"{STYLE}{light}\n@media (prefers-color-scheme: dark) {{\n{DARK}\n{dark}\n}}\n"


def _fill(kind: str, colour: str) -> str:
    return f".{kind} {{ fill: {colour}; }} i.{kind} {{ background: {colour}; }}"


def _figures(account: Account) -> str:
    return (
        f"{account.wall_s:.1f} s wall, {account.work_s:.1f} s of CPU time, {account.parallelism:.2f} at once; "
        f"{account.processes:,} processes, {account.compiler_runs:,} compiler runs; "
        f"{account.parses:,} makefile parses, {account.shell_functions:,} $(shell) functions; "
        f"{account.serial_s:.1f} s with at most one process at work"
    )


def _legend(timeline: Timeline, bars: Sequence[Bar], *, marked: bool) -> Iterator[str]:
    """Yield a list item for each kind of job: its colour, the number of its jobs and their CPU time."""
    for kind, times_s in _work_s_by_kind(timeline, bars).items():
        count = "1 job" if len(times_s) == 1 else f"{len(times_s):,} jobs"
        yield f'<li><i class="{kind}"></i>{kind}: {count}, {sum(times_s):.1f} s of CPU time</li>'
    if marked:
        yield '<li><i class="critical"></i>on the critical path</li>'


def _work_s_by_kind(timeline: Timeline, bars: Iterable[Bar]) -> dict[str, list[float]]:
    """Map each kind of the jobs, in the order of COLOURS, to the CPU seconds of each of its jobs."""
    found: dict[str, list[float]] = defaultdict(list)
    for bar in bars:
        found[bar.kind].append(timeline.tree.cpu_s(bar.process))
    return {kind: found[kind] for kind in COLOURS if kind in found}


def _ticks(wall_s: float) -> Iterator[str]:
    """Yield the ticks of the time axis; the minor ones are shown only where the page is drawn wider."""
    step = _tick_step(wall_s)
    for number in range(int(wall_s / step) + 1):
        at = number * step
        kind = "tick minor" if number % MAJOR else "tick"
        yield f'<div class="{kind}" style="left:{100 * at / wall_s:.3f}%"><span>{at:g} s</span></div>'


def _tick_step(wall_s: float) -> float:
    """Return the seconds between two ticks: the least of 1, 2 and 5 times a power of 10 that gives at most TICKS."""
    steps = (digit * 10**power for power in range(-5, 9) for digit in (1, 2, 5))
    return next(itertools.dropwhile(lambda step: wall_s / step > TICKS, steps), wall_s)


def _svg(wall_s: float, height: float, height_px: float, *shapes: str) -> str:
    """Return a chart whose x is milliseconds; without its aspect ratio kept, it is as wide as the page makes it."""
    return (
        f'<svg viewBox="0 0 {1e3 * wall_s:.1f} {height:g}" preserveAspectRatio="none" height="{height_px:g}">'
        + "\n".join(shapes)
        + "</svg>"
    )


def _leaves(spans: Sequence[Span], wall_s: float) -> Iterator[str]:
    """Yield the chart of the number of running leaves, as a mean over each bin of time, and its heading."""
    means = _means(spans, wall_s)
    top = max(1, math.ceil(max(means)))
    gap = math.ceil(top / LEVELS)
    most = max((len(span.leaves) for span in spans), default=0)
    steps = [f"V{top - mean:.2f}H{1e3 * wall_s * at / BINS:.1f}" for at, mean in enumerate(means, 1)]
    lines = [f'<path class="line" d="M0 {top - level}H{1e3 * wall_s:.1f}"/>' for level in range(gap, top, gap)]
    scale = f"a mean over {wall_s / BINS:.2g} s; a line for each {gap}, up to {top}; at most {most} at once"
    yield f"<h2>Leaves running <small>({scale})</small></h2>"
    yield _svg(wall_s, top, CHART_PX, f'<path class="area" d="M0 {top}{"".join(steps)}V{top}Z"/>', *lines)


def _means(spans: Iterable[Span], wall_s: float) -> list[float]:
    """Return the mean number of running leaves in each of BINS bins: each span counts by the time it shares with it."""
    means = [0.0] * BINS
    for span in spans:
        # A span that ends with the step would fall into a bin after the last.
        first, last = (min(BINS - 1, int(at / wall_s * BINS)) for at in (span.start_s, span.end_s))
        for number in range(first, last + 1):
            shared = min(span.end_s, (number + 1) * wall_s / BINS) - max(span.start_s, number * wall_s / BINS)
            means[number] += len(span.leaves) * max(shared, 0.0) * BINS / wall_s
    return means


def _alone(timeline: Timeline, spans: Sequence[Span], wall_s: float) -> Iterator[str]:
    """Yield the strip of the times in which one process worked alone, and its heading.

    Times below a quarter of a bin are left out, as they cannot be seen.
    """
    shapes = []
    shortest_s = wall_s / (4 * BINS)
    for name, group in itertools.groupby(spans, key=lambda span: _only(timeline, span)):
        together = list(group)
        start_s, end_s = together[0].start_s, together[-1].end_s
        if name and end_s - start_s >= shortest_s:
            label = html(f"{name}\nalone for {end_s - start_s:.2f} s, from {start_s:.2f} s")
            place = f'x="{1e3 * start_s:.1f}" width="{1e3 * (end_s - start_s):.1f}" height="1"'
            shapes.append(f'<rect class="alone" {place}><title>{label}</title></rect>')
    yield "<h2>One process at work <small>(or none)</small></h2>"
    yield _svg(wall_s, 1, STRIP_PX, *shapes)


def _only(timeline: Timeline, span: Span) -> str:
    """Return the name of the only leaf that ran in a span, or nothing where several ran."""
    if not span.leaves:
        return "(nothing ran)"
    [first, *others] = span.leaves
    return "" if others else lanes.short(timeline.name(timeline.tree.processes[first]))


def _makes(timeline: Timeline) -> list[Bar]:
    """Return the bars of the makes of all depths, each depth on rows of its own below the one before."""
    found: list[Bar] = []
    first = 0
    for bars in lanes.makes(timeline):
        found += [dataclasses.replace(bar, row=first + bar.row) for bar in bars]
        first = lanes.row_count(found)
    return found


def _rows(timeline: Timeline, bars: Sequence[Bar], wall_s: float, row_px: int, critical: frozenset[int]) -> str:
    rows = max(1, lanes.row_count(bars))
    shapes = []
    # Row by row, as "every second bar" of the style counts in this order.
    for bar in sorted(bars, key=lambda bar: (bar.row, bar.start_s)):
        mark = " critical" if bar.process.index in critical else ""
        width = max(1e3 * bar.wall_s, wall_s / 10)  # a ten-thousandth of the axis: thinner bars would not be drawn
        place = f'x="{1e3 * bar.start_s:.1f}" y="{bar.row * row_px}" width="{width:.1f}" height="{row_px - 2}"'
        shapes.append(f'<rect class="{bar.kind}{mark}" {place}><title>{_label(timeline, bar)}</title></rect>')
    return _svg(wall_s, rows * row_px, rows * row_px, *shapes)


def _label(timeline: Timeline, bar: Bar) -> str:
    process = bar.process
    ended = "not seen to end" if process.status is None else f"exit status {process.status}"
    work = f"{timeline.tree.cpu_s(process):.2f} s of CPU time"
    job = timeline.job(process)
    parent = f"; from make: {lanes.short(timeline.targets.goal(job.make))}" if job else ""
    times = f"{bar.kind}: {bar.wall_s:.2f} s, from {bar.start_s:.2f} s; {work}; {ended}{parent}"
    return html(f"{bar.name}\n{times}\n{command(process) or FORK}")


def _serial(account: Account) -> str:
    rows = [
        f"<tr><td>{one.wall_s:.2f}</td><td>{html(lanes.short(one.name))}</td></tr>" for one in account.serial[:SERIAL]
    ]
    rest = account.serial[SERIAL:]
    if rest:
        rows.append(f"<tr><td>{sum(one.wall_s for one in rest):.2f}</td><td>(for {len(rest)} more)</td></tr>")
    head = "<tr><th>seconds</th><th>for</th></tr>"
    return f"<h2>What ran alone: {account.serial_s:.1f} s</h2>\n<table>{head}\n" + "\n".join(rows) + "\n</table>"


VIEW = View(suffix=".html", render=render)
