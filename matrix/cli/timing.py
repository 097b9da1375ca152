"""compare, trace and predict: how long builds take, where that time goes, and what it would be elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.cli.options import Configs, Host, Jobs, Json, NoInstall, TreeNames, forbid_install, one, print_json
from matrix.config import load
from matrix.errors import ExitStatus, UsageError
from matrix.model.cell_id import Place
from matrix.reports.terminal import WIDTH
from matrix.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.timing.recording import Recorded
    from matrix.trace.jobgraph import Make
    from matrix.verdicts.comparison import Comparison, ComparisonRun, Counted

TreeName = Annotated[str, typer.Argument(help="7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE.")]
Measures = Annotated[
    list[str], typer.Option("--measure", "-m", help="build, no-op, one-file, generate or tables; none: all.")
]
CellName = Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")]
RunName = Annotated[str, typer.Option(metavar="RUN", help="Take what that run recorded, and build nothing.")]
MOST_CORES = 4096
REPLAYED = ("build", "rebuild")
"""Steps whose makes are to make what the recorded rules say; those of the others are told otherwise."""

Required = Annotated[
    list[str], typer.Option(help="What it must come to: 'build at least 5 % faster', 'no-op no slower than 2 %'.")
]


def compare(
    base: TreeName, head: TreeName,
    image: Annotated[str, typer.Option("--image", "-i", help="The image to measure in.")] = "debian-trixie",
    toolchain: Annotated[str, typer.Option(help="The image's toolchain.")] = "gcc",
    build: Annotated[str, typer.Option("--build", "-b", help="The build to measure.")] = "default",
    pairs: Annotated[int, typer.Option(help="Rounds of base, base again and head, fixed beforehand.", min=1)] = 20,
    measure: Measures = [], require: Required = [],
    profile: Annotated[str, typer.Option("--profile", "-p", help="A profile whose `require` must be met.")] = "",
    seed: Annotated[int, typer.Option(help="Of the random order.")] = 0,
    configs: Configs = [], jobs: Jobs = 0, engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Measure two trees in turn and say what is faster, what slower, and what cannot be told."""
    from matrix.config import selection
    from matrix.engine import private_engine
    from matrix.errors import did_you_mean
    from matrix.runs import interrupts, ownership, schedule
    from matrix.timing import bench as measuring
    from matrix.verdicts import requirement
    from matrix.verdicts.comparison import MEASURES

    forbid_install(no_install)
    loaded = load.load(configs)
    for name in measure:
        if name not in MEASURES:
            raise UsageError(f"no measure {name!r}{did_you_mean(name, MEASURES)}", f"There are: {', '.join(MEASURES)}.")
    required = [*require, *(selection.profile(loaded, profile).require if profile else ())]
    if profile and not selection.profile(loaded, profile).require:
        raise UsageError(f"profile {profile} requires nothing", "`require` in its file says what it must come to.")
    wanted = {requirement.parse(text).measure for text in required}
    measures = tuple(name for name in MEASURES if name in {*measure, *wanted} or not measure)
    place = Place(f"{image}/{toolchain}/{build}")
    asked = measuring.Asked(
        base=_cell(loaded, place, base), head=_cell(loaded, place, head), measures=measures, pairs=pairs,
        jobs=schedule.jobs(jobs, 1), seed=seed, required=tuple(required),
    )  # fmt: skip
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    console.print(f"{place}: {head} against {base}; {pairs} rounds of {', '.join(measures)}")
    with interrupts.interruptible():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        found, path = measuring.compare(asked, connected, console.print)
    if json_output:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print(found, console)
        console.print(f"\nsamples and all: {path}")
    met = all(verdict == "PASS" for verdict, _ in found.required.values())
    raise typer.Exit(ExitStatus.OK if met and found.measured else ExitStatus.CELLS_FAILED)


def _cell(loaded: Config, place: Place, word: str) -> Cell:
    from matrix.config import selection

    tree = selection.tree(loaded, word)
    found = selection.select(selection.every(loaded, [tree]), [place.on(tree.name)])
    if len(found) > 1:
        raise UsageError(f"{place!r} selects {len(found)} cells", "--image, --toolchain and --build take a name each.")
    return found[0]


def _print(found: ComparisonRun, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    headings = ("measure", "base s", "head s", "ratio", "95 % interval", "A/A", "floor", "p", "", "CPU s", "processes",
                "compilers")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("measure", "") else "right", no_wrap=True)
    for row in found.measured:
        came = row.comparison
        sides = [side.counted.get(came.measure) for side in (found.base, found.head)]
        interval = f"{came.low:.3f} to {came.high:.3f}" if came.low and came.high else "none"
        table.add_row(
            came.measure, f"{came.base_s:.2f}", f"{came.head_s:.2f}", f"{came.ratio:.3f}", interval,
            f"{came.aa_ratio:.3f}", f"{came.floor:.3f}" if came.floor else "none", f"{came.p_value:.3f}", said(came),
            f"{row.base_cpu_s:.1f} > {row.head_cpu_s:.1f}", *_counts(sides),
        )  # fmt: skip
    _wide(console).print(table)
    for name, why in found.left_out.items():
        console.print(f"{name}: {why}")
    for text, (verdict, why) in found.required.items():
        console.print(Text(plain(f"{verdict} {text}: {why}")))
    host = found.host
    console.print(f"{found.pairs} rounds, -j{found.jobs}, {host.get('cpus', '?')} processors, {host.get('kernel', '')}")


def _wide(console: Console) -> Console:
    return Console(file=console.file, width=None if console.is_terminal else WIDTH, highlight=False)


def said(came: Comparison) -> str:
    """Return a comparison's answer, and where it decided nothing how many pairs would."""
    if came.answer != "inconclusive":
        return str(came.answer)
    return (
        f"inconclusive; {f'~{came.pairs_needed} pairs decide' if came.pairs_needed else 'no number of pairs decides'}"
    )


def _counts(sides: Sequence[Counted | None]) -> tuple[str, str]:
    base, head = sides
    if base is None or head is None:
        return "", ""
    return f"{base.processes} > {head.processes}", f"{base.compiler_runs} > {head.compiler_runs}"


def trace(
    cell: CellName,
    step: Annotated[str, typer.Option(help="The step to look at: build, rebuild, touch-source, …")] = "build",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder for the files.")] = None,
    run: RunName = "", tree: TreeNames = [], configs: Configs = [], jobs: Jobs = 0, engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Show where a step's time goes: what ran at once, what ran alone, for which target, and the critical path."""
    from matrix import files, paths
    from matrix.trace import cost, simulation, timeline, views

    forbid_install(no_install)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    found = _recorded(cell, step, run, (tree, configs, jobs, engine), console)
    line = timeline.of_step(found.facts)
    spent = cost.account(line)
    path = simulation.span(_graph(found), MOST_CORES).path
    if json_output:
        typer.echo(spent.model_dump_json(indent=2))
    folder = output or paths.state() / "traces" / found.cell / step
    for name, view in views.registry().items():
        text = view.render(found.cell, step, line, spent, path)
        files.write(folder / f"{step}{view.suffix}", text)
        if name == "text" and not json_output:
            typer.echo(text, nl=False)
    console.print(f"for ui.perfetto.dev and chrome://tracing: {folder / step}.json\na picture: {folder / step}.html")


def predict(
    cell: CellName,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help="Numbers of jobs and cores.")] = "1,2,4,8,16,28,64",
    step: Annotated[str, typer.Option(help="The step to replay: build or rebuild.")] = "build",
    measure: Annotated[str, typer.Option(help="Build with these numbers of jobs, too, as 1,2.")] = "",
    times: Annotated[int, typer.Option(help="How often to measure each.", min=1)] = 3,
    run: RunName = "", tree: TreeNames = [], configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
    json_output: Json = False,
) -> None:  # fmt: skip
    """Replay a recorded build on other numbers of cores: its time, its span, and what limits it."""
    from matrix.errors import did_you_mean
    from matrix.trace import jobgraph, simulation

    forbid_install(no_install)
    numbers, measured = _numbers(jobs), _numbers(measure) if measure else ()
    if measured and step != "build":
        raise UsageError("--measure builds from scratch, so it goes with --step build", "Leave one of them out.")
    if measured and max(measured) > (os.cpu_count() or 1):
        raise UsageError(f"--measure {measure}: there are {os.cpu_count()} processors", "More cannot be measured here.")
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    if step not in REPLAYED:
        raise UsageError(
            f"no step {step!r} to replay{did_you_mean(step, REPLAYED)}",
            "Rules are recorded for the default goal alone.",
        )
    found = _recorded(cell, step, run, (tree, configs, 0, engine), Console(stderr=True, highlight=False))
    graph = _graph(found)
    rows = {number: simulation.predict(graph, number) for number in dict.fromkeys((*numbers, *measured))}
    span = simulation.span(graph, MOST_CORES)
    took = _measured(cell, measured, times, (tree, configs, engine), console) if measured else {}
    if json_output:
        print_json({
            "cell": found.cell, "step": step, "span": span.model_dump(mode="json"), "measured_s": took,
            "predicted": [guess.model_dump(mode="json") for guess in rows.values()],
        })  # fmt: skip
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("-j", "predicted s", "measured s", "off", "limited by"):
        table.add_column(heading, justify="left" if heading == "limited by" else "right", overflow="fold")
    for number, guess in rows.items():
        real = took.get(number)
        off = (f"{real:.1f}", f"{guess.wall_s / real - 1:+.1%}") if real else ("", "")
        table.add_row(str(number), f"{guess.wall_s:.1f}", *off, Text(plain(simulation.limit(guess))))
    _wide(console).print(table)
    unknown, makes = jobgraph.undeclared(graph)
    console.print(
        f"the rules of {unknown} of {makes} makes are not known: their jobs follow what had ended before them"
    )
    console.print(f"work {span.work_s:.1f} s of CPU time; span {span.wall_s:.1f} s: no number of cores is faster")


def _graph(found: Recorded) -> Make:
    from matrix.trace import jobgraph, timeline

    try:
        return jobgraph.graph(timeline.of_step(found.facts), found.databases)
    except ValueError as error:
        raise UsageError(f"{found.cell}: {error}") from error


def _numbers(text: str) -> tuple[int, ...]:

    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) <= MOST_CORES for word in words):
        raise UsageError(f"{text!r} is no list of numbers from 1 to {MOST_CORES}", "Write them as 1,2,4,8.")
    return tuple(int(word) for word in words)


def _recorded(
    glob: str, step: str, run: str, options: tuple[TreeNames, Configs, int, str], console: Console
) -> Recorded:
    from matrix.engine import private_engine
    from matrix.errors import did_you_mean
    from matrix.runs import interrupts, locks, ownership, schedule, store
    from matrix.scenario import plan
    from matrix.timing import recording

    trees, configs, jobs, engine = options
    chosen = one(glob, trees, configs)
    names = [planned.name for planned in plan.scenario(chosen).steps if planned.commands and planned.commands[0].traced]
    if step not in names:
        raise UsageError(f"no traced step {step!r}{did_you_mean(step, names)}", f"There are: {', '.join(names)}.")
    if run:
        return recording.of_run(store.find(run), chosen.id, step)
    with interrupts.interruptible(), locks.busy():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        return recording.record(chosen, step, schedule.jobs(jobs, 1), connected, console.print)


def _measured(
    glob: str, jobs: tuple[int, ...], times: int, options: tuple[TreeNames, Configs, str], console: Console
) -> dict[int, float]:
    from matrix.engine import private_engine
    from matrix.runs import interrupts, ownership
    from matrix.timing import bench as measuring

    trees, configs, engine = options
    with interrupts.interruptible():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        return measuring.builds(one(glob, trees, configs), jobs, times, connected, console.print)
