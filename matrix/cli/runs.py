"""run, report and runs: runs of cells, their reports, and the table of all runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matrix.cli.options import (
    Against,
    Certificates,
    Configs,
    Detach,
    Durations,
    Environment,
    Exclude,
    Fresh,
    FromMail,
    Goals,
    Host,
    ImageNames,
    Jobs,
    Json,
    Make,
    NoInstall,
    Number,
    OutOfTree,
    ProfileName,
    Resume,
    Scheduler,
    Select,
    ShardWords,
    Toolchain,
    TreeNames,
    access_of,
    adhoc_cells,
    engine_access,
    machines,
    print_json,
    print_parts,
    print_report,
    progress_console,
    results_of,
    resumed,
    selection,
)
from matrix.errors import MatrixError, UsageError, from_system
from matrix.model.cell import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.config.adhoc_build import AdhocCells
    from matrix.config.load import Config
    from matrix.config.selection import Selection
    from matrix.model.result import CellResult
    from matrix.runs.store import Run

LIMITS = Limits()


def run(
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", tree: TreeNames = [],
    base: Against = "", configs: Configs = [],
    make: Make = [], environment: Environment = [], goal: Goals = [], out_of_tree: OutOfTree = False,
    image: ImageNames = [], toolchain: Toolchain = "", from_mail: FromMail = None,
    number: Number = 0, jobs: Jobs = 0,
    timeout: Annotated[int, typer.Option(help="Seconds that a step may take.", min=1)] = LIMITS.step_s,
    cell_timeout: Annotated[
        int, typer.Option(help="Seconds that a cell's steps may take together; 0: as long as four of them.", min=0)
    ] = 0,
    run_timeout: Annotated[
        int, typer.Option(help="Seconds after which the run is ended, to be resumed; 0: no limit of its own.", min=0)
    ] = 0,
    memory: Annotated[int, typer.Option(help="MiB of memory that a cell may use.", min=64)] = LIMITS.memory_bytes >> 20,
    disk: Annotated[int, typer.Option(help="MiB of disk that a cell may use.", min=16)] = LIMITS.disk_bytes >> 20,
    pids: Annotated[int, typer.Option(help="Processes that a cell may have at once.", min=16)] = LIMITS.pids,
    shard: ShardWords = "", durations: Durations = "", fresh: Fresh = False, resume: Resume = "",
    scheduler: Scheduler = "", certificates: Certificates = None, detach: Detach = False,
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Run cells: build, rebuild, touch, clean and build again, with every check."""
    from matrix.runs import completion, detached, locks, run_report

    console = progress_console(json_output=json_output)
    access = access_of(engine, console, scheduler, certificates, jobs, no_install=no_install, detach=detach)
    adhoc = adhoc_cells(make, environment, goal, image, toolchain, out_of_tree=out_of_tree)
    _refuse_together(adhoc or from_mail, [*select, *exclude, shard, profile.removeprefix("gate")], _BUILD_ALONE)
    if from_mail:
        _refuse_together(from_mail, [*make, *environment, *goal, out_of_tree, resume, detach], _MAIL_ALONE)
        more = _words({"--base": base, "--toolchain": toolchain, "-j": jobs})
        _propose(from_mail, selection(configs, [], [], profile, tree), image, more, json_output=json_output)
        return
    _refuse_together(detach, [run_timeout], _NO_LIMIT)
    asked = selection(configs, [*select, *(adhoc.globs if adhoc else ())], exclude, profile, tree, base)
    _refuse_together(resume, [not asked.is_empty, shard], _RUN_ALONE)
    limits = Limits(memory_bytes=memory << 20, disk_bytes=disk << 20, pids=pids, step_s=timeout)
    if cell_timeout:
        limits = limits.model_copy(update={"cell_s": cell_timeout})
    config = None
    if resume:
        this = resumed(resume, "run")
    else:
        this, config = _begin(asked, adhoc, limits, number, jobs, (shard, results_of(durations, shard)))
    with locks.doing(this):
        if detached.is_detached(this):
            machines("collecting").take_back(this, access)
        this.limit_time(run_timeout)
        if fresh:
            this.reuse_nothing()
        # One attempt: the report names each ERROR, and the command that goes on.
        completion.complete(this, number, access, attempts=1, config=config)
    if detached.is_detached(this):
        _print_departure(this, scheduler, json_output=json_output)
        return
    print_report(run_report.of_run(this), console, json_output=json_output)


_BUILD_ALONE = (
    "--make, --env, --goal, --out-of-tree, --image, --toolchain and --from-mail go with no selection, profile or shard",
    "They are one cell on each --image; --select 'debian-bookworm/*' are the configured builds of an image.",
)
_MAIL_ALONE = ("--from-mail only proposes commands, by the words of a mail", "Give it alone, and then run one.")
_NO_LIMIT = (
    "--run-timeout does not go with --detach",
    "No command is there to end the run: --timeout ends a step, --cell-timeout a cell.",
)
_RUN_ALONE = (
    "--resume goes with none of --select, --exclude, --tree, --base, --configs, --shard and a build's options",
    "A run has its own.",
)
"""Options that are refused together, and what to do instead."""


def _refuse_together(one: object, others: list[Any], refusal: tuple[str, str]) -> None:
    """Refuse options that are given beside another one.

    Raises:
        UsageError: one of them is.

    """
    if one and any(others):
        raise UsageError(*refusal)


def _words(options: dict[str, Any]) -> list[str]:
    """Return the options that are given, with their values, as words of a command line."""
    return [word for option, value in options.items() if value for word in (option, str(value))]


def _propose(mail: Path, asked: Selection, images: list[str], more: list[str], *, json_output: bool) -> None:
    """Print the commands that run the builds of perf that a bug report names; nothing is run.

    `asked` has the trees and `more` the other options that each command is to have.
    """
    from matrix.config import load, mail_builds
    from matrix.reports.tables import mail_builds as table
    from matrix.reports.terminal import console

    text = mail_builds.text_of(_mail(mail))
    found, others = mail_builds.builds(text)
    config = load.load(asked.configs)
    trees = asked.trees or mail_builds.named_trees(text, config.trees)
    words = [*(word for tree in trees for word in ("--tree", tree)), *more]
    named = images or mail_builds.named_images(text, config.images.values())
    rows = [table.Proposal(one.line, one.text, mail_builds.command(one, named, words), one.dropped) for one in found]
    if json_output:
        print_json([row._asdict() for row in rows])
    else:
        print_parts(table.parts(rows, others, mail_builds.named_distros(text)), console())
    if not found:
        where = "standard input" if str(mail) == "-" else mail
        raise UsageError(f"{where} has no make command of tools/perf", "As a line `make -C tools/perf NO_LIBELF=1`.")


def _mail(path: Path) -> bytes:
    """Return the beginning of a mail, as far as one may be long; `-` is standard input."""
    from matrix.config.mail_builds import MAIL_BYTES

    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            return file.read(MAIL_BYTES + 1)
    except OSError as error:
        raise from_system(f"{path} cannot be read: {error}", "--from-mail takes a file with a mail.", error) from error


def _print_departure(run: Run, scheduler: str, *, json_output: bool) -> None:
    """Say that a run goes on without this command, and the command that collects its results."""
    command = f"perf-matrix report {run.name}"
    if json_output:
        print_json({"run": run.name, "folder": str(run.folder), "scheduler": scheduler, "collect": command})
    else:
        typer.echo(f"run {run.name} goes on, on the workers of {scheduler}; its results: {command}")


def _begin(
    asked: Selection, adhoc: AdhocCells | None, limits: Limits, number: int, jobs: int,
    divided: tuple[str, list[CellResult]],
) -> tuple[Run, Config]:  # fmt: skip
    """Begin the run of a selection, and return its configuration; cells at one place need each other's results.

    `divided` has the words of --shard, and the results that tell the durations of cells.
    """
    from matrix.config import load
    from matrix.config.selection import selected
    from matrix.runs import launch, own_configs, schedule, store
    from matrix.runs.shard import of_selection

    config = load.load(asked.configs)
    if adhoc:
        config = adhoc.added(config)
    found, shard = of_selection(selected(config, asked), *divided)
    chosen = schedule.jobs_of(found.cells, found.base, number, jobs)
    this = store.begin(found.cells, found.trees, asked.folders, chosen, limits, base=found.base, shard=shard)
    if adhoc:
        with launch.discarding(this):
            config = own_configs.write(this, adhoc.build)
    return this, config


def report(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="A run's name or folder; the newest without.")] = "",
    format_name: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="text, json, junit, markdown or mail.")
    ] = "text",
    check: Annotated[bool, typer.Option(help="Judge its transcripts by today's checks: replaces its results.")] = False,
) -> None:
    """Print a run's report."""
    from matrix import reports
    from matrix.errors import did_you_mean
    from matrix.reports import formats
    from matrix.runs import detached, judgement, locks, run_report, store
    from matrix.untrusted import one_line

    this = store.find(run or None)
    if detached.is_detached(this):
        _collect(this)
    known = formats.registry()
    if format_name not in known:
        raise UsageError(f"no format {format_name!r}{did_you_mean(format_name, known)}")
    if check:
        # The results are written anew, which a process that does the run must not meet.
        with locks.doing(this):
            left = judgement.check_again(this, this.configuration())
        for cell_id in left:
            typer.echo(f"not judged again: {one_line(cell_id)}: no transcript, or no such cell today", err=True)
    made = run_report.of_run(this)
    typer.echo(known[format_name].render(made), nl=False)
    raise typer.Exit(reports.exit_status(made))


def _collect(run: Run) -> None:
    """Store what the workers of a detached run have made; where that cannot be had, say so and leave the run as is."""
    from matrix.runs import locks

    access = engine_access("", progress_console(json_output=True), no_install=True)
    try:
        with locks.doing(run):
            machines("collecting").collect(run, access)
    except MatrixError as error:
        access.say(f"nothing is collected: {error}")


def merge(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs by name or folder, as those of shards.")],
    json_output: Json = False,
) -> None:
    """Make one run of several, with all their cells; print its report."""
    from matrix.runs import merging, run_report, store

    console = progress_console(json_output=json_output)
    made = merging.merge([store.find(name) for name in runs])
    print_report(run_report.of_run(made), console, json_output=json_output)


def runs(
    most: Annotated[int, typer.Option("--most", help="How many to name, the newest; 0 names all.", min=0)] = 20,
    json_output: Json = False,
) -> None:
    """List the runs, the newest first: command, start, trees, and the verdicts of cells."""
    from matrix.reports.tables import runs as table
    from matrix.reports.terminal import console
    from matrix.runs import run_rows, store

    there = store.runs()
    rows = [run_rows.row(run) for run in there[: most or None]]
    if json_output:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    print_parts(table.parts(rows, len(there) - len(rows)), console())
