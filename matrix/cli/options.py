"""Options that several commands share, and the nouns that these become: a Selection, an EngineAccess, a run."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matrix.config import load
from matrix.config.selection import Selection
from matrix.errors import UsageError
from matrix.untrusted import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from matrix.config.adhoc_build import AdhocCells
    from matrix.config.load import Config
    from matrix.model.result import CellResult
    from matrix.reports import Report
    from matrix.reports.tables import Part
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.named_cell import NamedCell
    from matrix.runs.store import Run

Select = Annotated[list[str], typer.Option("--select", "-s", help="Cells by glob, as 'debian-*/gcc/static'.")]
Exclude = Annotated[list[str], typer.Option("--exclude", "-x", help="Cells to leave out, by glob.")]
ProfileName = Annotated[str, typer.Option("--profile", "-p", help="A named selection from configs/profiles.")]
TreeNames = Annotated[
    list[str],
    typer.Option("--tree", "-t", help="7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE."),
]
Against = Annotated[
    str, typer.Option("--base", metavar="TREE", help="Run each cell on this tree, too, and compare the others with it.")
]
Make = Annotated[
    list[str], typer.Option("--make", metavar="NAME=VALUE", help="A build of its own: a variable of make's.")
]
Environment = Annotated[
    list[str], typer.Option("--env", metavar="NAME=VALUE", help="A build of its own: a variable of its environment.")
]
Goals = Annotated[list[str], typer.Option("--goal", help="A build of its own: a goal of make's, as install.")]
OutOfTree = Annotated[bool, typer.Option("--out-of-tree", help="A build of its own: with O=.")]
ImageNames = Annotated[list[str], typer.Option("--image", help="The image of a build of its own, debian-trixie.")]
Toolchain = Annotated[str, typer.Option("--toolchain", help="The image's toolchain for a build of its own, gcc.")]
FromMail = Annotated[
    Path | None,
    typer.Option(
        "--from-mail", metavar="FILE", help="Only propose commands, for the make commands of a mail; - reads it here."
    ),
]
Repository = Annotated[
    Path | None, typer.Option("--repo", help="The git repository that revisions are of; never written to.")
]
Configs = Annotated[list[Path], typer.Option("--configs", help="A folder of your own images, builds, trees, profiles.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Number = Annotated[int, typer.Option("-n", help="Cells at once; 0 chooses.", min=0)]
Jobs = Annotated[int, typer.Option("-j", "--jobs", help="make's parallel jobs in a cell; 0 chooses.", min=0)]
Resume = Annotated[str, typer.Option(metavar="RUN", help="Do what that run still lacks; then its report.")]
ShardWords = Annotated[
    str,
    typer.Option("--shard", metavar="K/N", help="Do the K-th of N shards; `perf-matrix merge` joins them."),
]
Durations = Annotated[
    str, typer.Option("--durations", metavar="RUN", help="Divide by the durations of that run's cells, not by number.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Build every cell; reuse no result of an earlier run.")]
Host = Annotated[str, typer.Option("--engine", help="The engine's socket, as unix:///var/run/docker.sock.")]
Scheduler = Annotated[
    str,
    typer.Option("--scheduler", metavar="ADDRESS", help="Run cells on the workers of a scheduler, as tls://HOST:8786."),
]
Certificates = Annotated[
    Path | None, typer.Option("--certificates", metavar="DIR", help="The certificates of a tls:// address.")
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Leave the run to the workers; `perf-matrix report` collects what they make.")
]
NoInstall = Annotated[bool, typer.Option("--no-install", help="Never install a program on this machine.")]


def progress_console(*, json_output: bool) -> Console:
    """Return the console for progress: where standard output is JSON for machines, progress goes to standard error."""
    from matrix.reports.terminal import console

    return console(stderr=json_output)


def engine_access(host: str, console: Console, *, no_install: bool) -> EngineAccess:
    """Return the command's access to an engine, by --engine and --no-install."""
    from matrix.runs.engine_access import EngineAccess

    forbid_install(no_install)
    return EngineAccess(host or None, console)


def access_of(
    host: str, console: Console, scheduler: str, certificates: Path | None, jobs: int, *, no_install: bool,
    detach: bool = False,
) -> EngineAccess:  # fmt: skip
    """Return the command's access to an engine, and with --scheduler the way to run cells on its workers.

    Raises:
        UsageError: there are certificates or --detach, and no scheduler to use them for.

    """
    if detach and not scheduler:
        raise UsageError("--detach goes with --scheduler", "The run goes on at its workers.")
    if certificates and not scheduler:
        raise UsageError("--certificates goes with --scheduler", "They are those of its tls:// address.")
    access = engine_access(host, console, no_install=no_install)
    if not scheduler:
        return access
    kind = machines("departure").LeftToWorkers if detach else machines("remote").OnWorkers
    return replace(access, way=kind(scheduler, certificates, jobs))


def machines(module: str) -> Any:
    """Return a module of the room of many machines.

    Raises:
        UsageError: Dask is not installed.

    """
    try:
        return importlib.import_module(f"matrix.machines.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("matrix"):
            raise
        raise UsageError(
            f"many machines need the package {error.name}, which is not installed",
            "`pip install 'perf-build-matrix[machines]'` installs it.",
        ) from error


def forbid_install(forbid: bool) -> None:
    """Forbid this process, and those that it starts, to install a program, where --no-install says so."""
    if forbid:
        from matrix.engine import host_packages

        host_packages.forbid()


def selection(
    configs: list[Path], select: list[str], exclude: list[str], profile: str, trees: list[str], base: str = ""
) -> Selection:
    """Return the selection of cells by --configs, --select, --exclude, --profile, --tree and --base."""
    return Selection(tuple(configs), tuple(trees), tuple(select), tuple(exclude), profile, base)


def adhoc_cells(
    make: list[str], environment: list[str], goals: list[str], images: list[str], toolchain: str, *, out_of_tree: bool
) -> AdhocCells | None:
    """Return the cells of the build that --make, --env, --goal and --out-of-tree say; None where no option says one."""
    from matrix.config import adhoc_build

    if not (make or environment or goals or images or toolchain or out_of_tree):
        return None
    found = adhoc_build.build(make, environment, goals, out_of_tree=out_of_tree)
    return adhoc_build.AdhocCells(found, tuple(images or (adhoc_build.IMAGE,)), toolchain or adhoc_build.TOOLCHAIN)


def named_cell(glob: str, trees: list[str], configs: list[Path], run: str) -> NamedCell:
    """Return the cell that a CELL, --tree, --configs and --run name, after a line where a run of itself gives it."""
    from matrix.runs import named_cell

    found = named_cell.find(load.load(configs), glob, trees, run)
    if found.run and not run:
        typer.echo(f"{found.cell.id} is a cell of run {found.run.name}", err=True)
    return found


def resumed(name: str, command: str) -> Run:
    """Return a run to go on with, which this command began.

    Raises:
        UsageError: there is no such run, or another command began it.

    """
    from matrix.runs import store

    found = store.find(name)
    began = found.settings().kind.command
    if began != command:
        raise UsageError(f"{found.name} is a run of `{began}`", f"perf-matrix {began} --resume {found.name}")
    return found


def config_of(run: Run) -> Config:
    """Return the configuration that a run was begun with, as it is today."""
    return load.load([Path(folder) for folder in run.settings().configs])


def results_of(name: str, shard: str) -> list[CellResult]:
    """Return the results of the run that --durations names; none without a name.

    Raises:
        UsageError: there is no --shard to divide.

    """
    from matrix.runs import store

    if name and not shard:
        raise UsageError("--durations goes with --shard", "It says how the cells are divided: --shard 1/4.")
    return list(store.find(name).results()) if name else []


def print_json(data: Any) -> None:
    """Print data for machines."""
    typer.echo(json_text(data), nl=False)


def print_parts(parts: Iterable[Part], console: Console) -> None:
    """Print tables, as wide as the terminal or else as a report, and lines, which are never wrapped."""
    from rich.table import Table

    from matrix.reports import terminal

    # rich folds a table into the console's width, and a pipe has none of its own.
    width = console.width if console.is_terminal else terminal.WIDTH
    for_tables = terminal.console(file=console.file, width=width)
    for part in parts:
        if isinstance(part, Table):
            for_tables.print(part)
        else:
            console.print(part, soft_wrap=True)


def print_report(report: Report, console: Console, *, json_output: bool) -> None:
    """Print a run's report, for people or for machines, and end the command with its exit status."""
    from matrix import reports
    from matrix.reports.formats import json, text
    from matrix.reports.terminal import WIDTH

    if json_output:
        typer.echo(json.render(report), nl=False)
    else:
        width = max(console.width, 120) if console.is_terminal else WIDTH  # below 120 ids of cells would be cut
        typer.echo(text.render(report, colour=console.is_terminal, width=width), nl=False)
    raise typer.Exit(reports.exit_status(report))
