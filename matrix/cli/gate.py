"""gate: what a tree breaks that its base did not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from matrix.cli.options import (
    Configs,
    Exclude,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    ProfileName,
    Resume,
    Select,
    beside,
    forbid_install,
    resumed,
    selected,
)
from matrix.errors import UsageError
from matrix.model.cell_id import Place
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from matrix.reports import Report
    from matrix.runs.run_kind import GateRun
    from matrix.runs.store import Run

USUAL = Place("debian-trixie/gcc/default")
TREE = "A tree: 7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE."


def gate(
    base: Annotated[str, typer.Option("--base", help=TREE)] = "",
    head: Annotated[str, typer.Option("--head", help=TREE)] = "",
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", configs: Configs = [],
    timing: Annotated[bool, typer.Option(help="Measure what the profile requires of times, too.")] = True,
    pairs: Annotated[int, typer.Option(help="Rounds that are measured.", min=1)] = 20,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write every report there, too.")] = None,
    number: Number = 0, jobs: Jobs = 0, resume: Resume = "", engine: Host = "", no_install: NoInstall = False,
    json_output: Json = False,
) -> None:  # fmt: skip
    """Fail for what HEAD breaks and BASE did not; say what was broken already and what is mended."""
    from matrix import reports
    from matrix.config import load, selection
    from matrix.reports.formats import json, text
    from matrix.reports.terminal import WIDTH
    from matrix.runs import run_report, schedule, store
    from matrix.runs.run_kind import GateRun

    forbid_install(no_install)
    if resume:
        this = resumed(resume, "gate")
    else:
        if not (base and head):
            raise UsageError("a gate needs --base and --head", "As --base git:.@v7.1 --head git:.@my-branch.")
        loaded = load.load(configs)
        found, words = selected(profile, [head], select, exclude, configs)
        found, words, against = beside(found, words, base, configs)
        absolute = tuple(str(folder.resolve()) for folder in configs)
        sharing = schedule.jobs(jobs, schedule.workers(number, len(found) // 2))
        tree = selection.tree(loaded, head).name
        this = store.begin(
            found, words, absolute, sharing, base=against, kind=GateRun(
                head=tree, require=selection.profile(loaded, profile).require if timing else (), pairs=pairs
            ),
        )  # fmt: skip
    console = Console(stderr=json_output, highlight=False)
    if output and output.exists() and not output.is_dir():
        raise UsageError(f"{output} is no folder", "--output names the folder for the reports.")
    twice(this, number, engine, console)
    kind = this.settings().kind
    if isinstance(kind, GateRun) and kind.require and not this.required():
        _measure(this, kind, engine, console)
    report = run_report.of_run(this)
    if output:
        _write(report, output, console)
    if json_output:
        typer.echo(json.render(report), nl=False)
    else:
        width = max(console.width, 120) if console.is_terminal else WIDTH
        typer.echo(text.render(report, colour=console.is_terminal, width=width), nl=False)
    raise typer.Exit(reports.exit_status(report))


def twice(this: Run, number: int, engine: str, console: Console) -> None:
    """Run what a run lacks, and what the infrastructure failed at once more."""
    from matrix.runs import completion
    from matrix.runs.engine_access import EngineAccess

    completion.complete(this, number, EngineAccess(engine or None, console))


def _measure(this: Run, kind: GateRun, engine: str, console: Console) -> None:
    """Measure what is required of times, and keep what it came to with the run; what does not build has no times."""
    from matrix.config import load, selection
    from matrix.engine import private_engine
    from matrix.runs import interrupts, ownership, schedule
    from matrix.timing import bench
    from matrix.verdicts import requirement
    from matrix.verdicts.comparison import MEASURES

    settings = this.settings()
    loaded = load.load([Path(folder) for folder in settings.configs])
    trees = {tree.name: tree for tree in (selection.tree(loaded, word) for word in settings.trees)}
    places = {cell_id.place for cell_id in settings.cells}
    place = USUAL if USUAL in places else min(places)
    both = {cell.id: cell for cell in selection.every(loaded, trees.values())}
    wanted = {requirement.parse(text).measure for text in kind.require}
    asked = bench.Asked(
        base=both[place.on(settings.base)], head=both[place.on(kind.head)],
        measures=tuple(name for name in MEASURES if name in wanted), pairs=kind.pairs, jobs=schedule.jobs(0, 1),
        seed=0, required=kind.require, pins=this.pins,
    )  # fmt: skip
    console.print(f"measuring {', '.join(asked.measures)} in {place}: {kind.pairs} rounds", soft_wrap=True)
    for name in (settings.base, kind.head):
        result = this.result(place.on(name))
        failed = result is None or any(step.name == "build" and step.verdict != Verdict.PASS for step in result.steps)
        if failed or result is None or not result.steps:
            console.print(f"not measured: {place}@{name} was not built")
            return
    with interrupts.interruptible():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        found, _ = bench.compare(asked, connected, console.print)
    this.save_required(found.required)


def _write(report: Report, folder: Path, console: Console) -> None:
    from matrix import files
    from matrix.reports import formats

    for report_format in formats.registry().values():
        files.write(folder / report_format.file_name, report_format.render(report))
    console.print(f"reports: {folder}", soft_wrap=True)
