"""compare, trace and predict: the times of builds, where they go, and what they would be on other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.options import (
    Configs,
    Host,
    Jobs,
    Json,
    NoInstall,
    TreeNames,
    engine_access,
    named_cell,
    print_json,
    print_parts,
    progress_console,
)
from matrix.config import load
from matrix.errors import ExitStatus, UsageError
from matrix.model.cell_id import Place

TreeName = Annotated[str, typer.Argument(help="7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE.")]
Measures = Annotated[
    list[str], typer.Option("--measure", "-m", help="build, no-op, one-file, generate or tables; none: all.")
]
CellName = Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")]
RunName = Annotated[str, typer.Option(metavar="RUN", help="Take what that run recorded, and build nothing.")]
Required = Annotated[
    list[str], typer.Option(help="A requirement: 'build at least 5 % faster', 'no-op no slower than 2 %'.")
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
    """Measure two trees in turn: which measures are faster, slower or inconclusive on HEAD."""
    from matrix.reports.tables import comparison, line
    from matrix.runs import interrupts
    from matrix.timing import bench
    from matrix.timing.request import ComparisonRequest
    from matrix.verdicts.wording import count

    console = progress_console(json_output=json_output)
    access = engine_access(engine, console, no_install=no_install)
    place = _place(image, toolchain, build)
    request = ComparisonRequest(place, base, head, pairs, tuple(measure), tuple(require), profile, seed, jobs)
    asked = request.resolved(load.load(configs))
    access.say(f"{place}: {head} against {base}; {count(pairs, 'round')} of {', '.join(asked.measures)}")
    # An interrupt then removes the containers, which hold a tree's build in memory each.
    with interrupts.interruptible():
        found, path = bench.compare(asked, access.connect(), access.say)
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        print_parts([*comparison.parts(found), line(""), line(f"samples and all: {path}")], console)
    raise typer.Exit(ExitStatus.OK if found.meets_requirements else ExitStatus.CELLS_FAILED)


def _place(image: str, toolchain: str, build: str) -> Place:
    try:
        return Place(f"{image}/{toolchain}/{build}")
    except ValueError as error:
        raise UsageError(str(error), "--image, --toolchain and --build take a name each.") from error


def trace(
    cell: CellName,
    step: Annotated[str, typer.Option(help="The step to look at: build, rebuild, touch-source, …")] = "build",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder for the files.")] = None,
    run: RunName = "", tree: TreeNames = [], configs: Configs = [], jobs: Jobs = 0, engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Show where a step's time goes: the processes that ran at once or alone, their targets, and the critical path."""
    from matrix.timing import recording, trace

    # Progress on standard error even without --json, so that the view can be piped.
    access = engine_access(engine, progress_console(json_output=True), no_install=no_install)
    chosen = named_cell(cell, tree, configs, run)
    found = trace.of_recording(recording.recorded(chosen, step, run, jobs, access))
    folder = trace.write_views(found, output)
    if json_output:
        print_json(found.cost.model_dump(mode="json"))
    else:
        typer.echo(found.views["text"], nl=False)
    access.say(f"for ui.perfetto.dev and chrome://tracing: {folder / step}.json")
    access.say(f"a picture: {folder / step}.html")


def predict(
    cell: CellName,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help="Numbers of jobs and cores.")] = "1,2,4,8,16,28,64",
    step: Annotated[str, typer.Option(help="The step to replay: build or rebuild.")] = "build",
    measure: Annotated[str, typer.Option(help="Build with these numbers of jobs besides, as 1,2, and time it.")] = "",
    times: Annotated[int, typer.Option(help="How often to measure each.", min=1)] = 3,
    run: RunName = "", tree: TreeNames = [], configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
    json_output: Json = False,
) -> None:  # fmt: skip
    """Replay a recorded build on other numbers of cores: its time, its span, and the limit on it."""
    from matrix.reports.tables import prediction as tables
    from matrix.timing import prediction

    console = progress_console(json_output=json_output)
    access = engine_access(engine, console, no_install=no_install)
    numbers, measured = prediction.numbers(jobs), prediction.numbers(measure) if measure else ()
    prediction.refuse_impossible(step, measured)
    chosen = named_cell(cell, tree, configs, run)
    found = prediction.predict(prediction.PredictionRequest(chosen, step, numbers, measured, times, run), access)
    if not json_output:
        print_parts(tables.parts(found.predicted, found.measured_s, found.span, found.undeclared), console)
        return
    print_json(
        {
            "cell": found.cell,
            "step": step,
            "span": found.span.model_dump(mode="json"),
            "measured_s": found.measured_s,
            "predicted": [one.model_dump(mode="json") for one in found.predicted.values()],
        }
    )
