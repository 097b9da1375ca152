"""mutants and claims: the trust in the checks, by planted faults, and their answers to the claims of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.options import (
    Certificates,
    Configs,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    Resume,
    Scheduler,
    access_of,
    config_of,
    print_json,
    print_parts,
    progress_console,
    resumed,
)
from matrix.config import load
from matrix.config.selection import Selection
from matrix.errors import UsageError
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.edit import Edit

Faults = Annotated[list[str], typer.Option("--select", "-s", help="Faults by glob, as 'undo-*'.")]
Base = Annotated[str, typer.Option("--tree", "-t", help="The tree to plant them in.")]


def mutants(
    select: Faults = [], tree: Base = "7.3", configs: Configs = [], number: Number = 0, jobs: Jobs = 0,
    show: Annotated[bool, typer.Option("--list", help="Only name the faults.")] = False,
    resume: Resume = "", scheduler: Scheduler = "", certificates: Certificates = None,
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Plant faults in a tree: each must be found by its check, and nothing in the tree without them."""
    from matrix.config.tree_words import tree as tree_of
    from matrix.reports.tables import line, mutants
    from matrix.runs import completion, planted_run
    from matrix.verdicts import mutants as verdicts

    console = progress_console(json_output=json_output)
    access = access_of(engine, console, scheduler, certificates, jobs, no_install=no_install)
    if resume:
        _refuse_with_resume(bool(select or configs or show))
        this = resumed(resume, "mutants")
        config = config_of(this)
        chosen = planted_run.faults_of(this, config)  # by digest: another fault of the name is another run
    else:
        config = load.load(configs)
        tree_of(config, tree)  # refuses a tree that does not exist, before its faults are asked for
        chosen = verdicts.select_faults(config.edits, tree, select)
        if show:
            _list(chosen, json_output=json_output)
            return
        asked = Selection(configs=tuple(configs), trees=(tree,))
        this = planted_run.begin(chosen, asked, config, number, jobs)
    completion.complete(this, number, access, attempts=1, config=config)
    found = planted_run.result(this, chosen)
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        print_parts([*mutants.parts(found), line(f"run: {this.folder}")], console)
    raise typer.Exit(verdicts.exit_status(found))


def _list(chosen: Sequence[Edit], *, json_output: bool) -> None:
    from matrix.reports.tables import mutants
    from matrix.reports.terminal import console

    if json_output:
        print_json([edit.model_dump(mode="json") for edit in chosen])
    else:
        print_parts(mutants.fault_lines(chosen), console())
        typer.echo(count(len(chosen), "fault"), err=True)


def claims(
    tree: Annotated[str, typer.Option("--tree", "-t", help="The tree that the claims are about.")] = "7.3",
    base: Annotated[str, typer.Option(help="The base that it is compared with.")] = "7.3+unrefactored",
    configs: Configs = [], number: Number = 0, jobs: Jobs = 0,
    resume: Resume = "", scheduler: Scheduler = "", certificates: Certificates = None,
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """List the claims of the series, each with its check or measure and the answers of the tree and the base."""
    from matrix.reports.tables import claims as tables
    from matrix.reports.tables import line
    from matrix.runs import completion
    from matrix.series import claims

    console = progress_console(json_output=json_output)
    access = access_of(engine, console, scheduler, certificates, jobs, no_install=no_install)
    if resume:
        _refuse_with_resume(bool(configs))
        this = resumed(resume, "claims")
        config = config_of(this)
    else:
        config = load.load(configs)
        asked = Selection(configs=tuple(configs), trees=(tree,), base=base)
        this = claims.begin(asked, config, number, jobs)
    completion.complete(this, number, access, attempts=1, config=config)
    found = claims.result(this, config)
    if json_output:
        rows = [row.model_dump(mode="json") for row in found.rows]
        print_json({"run": this.name, "tree": found.tree, "base": found.base, "claims": rows})
    else:
        lines = tables.parts(found.rows, found.tree, found.base)
        print_parts([*lines, line(""), line(f"run: {this.folder}")], console)
    raise typer.Exit(found.exit_status)


def _refuse_with_resume(others: bool) -> None:
    if others:
        raise UsageError("--resume goes with none of --select, --configs and --list", "The run has its own.")
