"""series: the findings that each patch of a series has and its base has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.options import (
    Certificates,
    Configs,
    Exclude,
    Fresh,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    Repository,
    Resume,
    Scheduler,
    Select,
    access_of,
    print_json,
    print_parts,
    progress_console,
    resumed,
    selection,
)
from matrix.config import load
from matrix.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from matrix.runs.store import Run
    from matrix.verdicts.series import SeriesResult

Bases = Annotated[list[str], typer.Option("--base", help="The base of the patches: a revision, or a tree as 7.3.")]


def series(
    where: Annotated[str, typer.Argument(metavar="[MBOX|FOLDER|A..B]", help="The patches.")] = "",
    base: Bases = [], repo: Repository = None,
    without: Annotated[list[int], typer.Option(help="Leave this patch out, by its number.")] = [],
    independence: Annotated[bool, typer.Option(help="Say of each patch whether it can be taken alone.")] = False,
    exhaustive: Annotated[
        bool, typer.Option(help="Run every patch in every cell and from scratch, not only where it matters.")
    ] = False,
    select: Select = [], exclude: Exclude = [],
    profile: Annotated[str, typer.Option("--profile", "-p", help="Where the whole series is run.")] = "gate",
    each: Annotated[str, typer.Option(metavar="GLOB", help="Where every patch is run: one cell, if not said.")] = "",
    configs: Configs = [], number: Number = 0, jobs: Jobs = 0, fresh: Fresh = False, resume: Resume = "",
    scheduler: Scheduler = "", certificates: Certificates = None, engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Apply a series, patch by patch; name the first that does not build or newly fails a check."""
    from matrix.runs import locks
    from matrix.series import run

    console = progress_console(json_output=json_output)
    access = access_of(engine, console, scheduler, certificates, jobs, no_install=no_install)
    if resume:
        begun = run.resume(resumed(resume, "series"))
    else:
        if not (where and base):
            raise UsageError("a series needs patches and --base", "As v7.mbx --base v7.1 --repo ~/linux.")
        cells = selection(configs, select, exclude, profile, [])
        request = run.SeriesRequest(
            where, tuple(base), repo, frozenset(without), independence, exhaustive, cells, each
        )  # fmt: skip
        begun = run.begin(request, load.load(configs), number, jobs, access)
    with locks.doing(begun.run):
        if fresh:
            begun.run.reuse_nothing()
        run.complete(begun, number, access)
    _print(run.result(begun), begun.run, console, json_output=json_output)


def _print(found: SeriesResult, run: Run, console: Console, *, json_output: bool) -> None:
    from matrix.reports.tables import line, series

    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        print_parts(series.parts(found), console)
        print_parts([line(""), line(f"run: {run.folder}")], console)
        print_parts([line(f"each finding: perf-matrix report {run.name}; this again: --resume {run.name}")], console)
    raise typer.Exit(found.exit_status)
