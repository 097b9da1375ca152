"""mutants and claims: whether the checks can be trusted, and what they say to what a series claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.cli.options import Configs, Host, Jobs, Json, NoInstall, Number, Resume, forbid_install, print_json, resumed
from matrix.config import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.model.edit import Edit
    from matrix.runs.store import Run
    from matrix.verdicts.claims import ClaimRow
    from matrix.verdicts.mutants import MutantsResult

Faults = Annotated[list[str], typer.Option("--select", "-s", help="Faults by glob, as 'undo-*'.")]
Base = Annotated[str, typer.Option("--tree", "-t", help="The tree to plant them in.")]


def mutants(
    select: Faults = [], tree: Base = "7.3", configs: Configs = [], number: Number = 0, jobs: Jobs = 0,
    show: Annotated[bool, typer.Option("--list", help="Only name the faults.")] = False,
    resume: Resume = "", engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Plant faults in a tree, to see each check find what it should, and nothing in the tree as it is."""
    from matrix.config import selection
    from matrix.runs.run_kind import MutantsRun
    from matrix.verdicts import mutants as judge

    forbid_install(no_install)
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    if resume:
        this, loaded = _resumed(resume, bool(select or configs or show), planted=True)
        tree = this.settings().trees[0]
        kind = this.settings().kind
        assert isinstance(kind, MutantsRun)
        chosen = judge.faults_of_run(loaded.edits, kind.planted)
    else:
        loaded = load.load(configs)
        selection.tree(loaded, tree)
        chosen = judge.select_faults(loaded.edits, tree, select)
        if show:
            _list(chosen, json_output=json_output)
            return
        words = [tree, *(f"{tree}+{edit.name}" for edit in chosen)]
        this = _begin(
            loaded,
            judge.wanted_cells(chosen, tree),
            words,
            (configs, number, jobs),
            kind=MutantsRun(planted=judge.digests(chosen)),
            base=selection.tree(loaded, tree).name,
        )
    _do(this, number, engine, console)
    found = judge.mutants_result(this.name, tree, chosen, {result.id: result for result in this.results()})
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found, str(this.folder), console)
    raise typer.Exit(judge.exit_status(found))


def claims(
    tree: Annotated[str, typer.Option("--tree", "-t", help="The tree that the claims are about.")] = "7.3",
    base: Annotated[str, typer.Option(help="What it is held against.")] = "7.3+unrefactored",
    configs: Configs = [], number: Number = 0, jobs: Jobs = 0,
    resume: Resume = "", engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Say of each claim of the series what decides it, and what the tree and the base say to it."""
    from matrix.config import selection
    from matrix.runs import store
    from matrix.runs.run_kind import ClaimsRun
    from matrix.verdicts import claims as judge

    forbid_install(no_install)
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    if resume:
        this, loaded = _resumed(resume, bool(configs), planted=False)
        tree, base = this.settings().trees[0], this.settings().trees[-1]
    else:
        loaded = load.load(configs)
    known = loaded.claims.values()
    names = [selection.tree(loaded, word).name for word in (tree, base)]
    if not resume:
        ids = [place.on(name) for place in judge.places(known) for name in names]
        this = _begin(
            loaded,
            ids,
            [tree, base],
            (configs, number, jobs),
            kind=ClaimsRun(checks=judge.check_names(known)),
            base=names[1],
        )
    _do(this, number, engine, console)
    results = {result.id: result for result in this.results()}
    found = judge.claim_rows(known, names[0], names[1], results, store.comparisons())
    if json_output:
        rows = [row.model_dump(mode="json") for row in found]
        print_json({"run": this.name, "tree": tree, "base": base, "claims": rows})
    else:
        _print_claims(found, tree, base, console)
        console.print(f"\nrun: {this.folder}")
    raise typer.Exit(judge.exit_status(found, judge.undecided_cells(known, names, results)))


def _print_claims(found: tuple[ClaimRow, ...], tree: str, base: str, console: Console) -> None:
    from matrix.untrusted import plain

    for row in found:
        console.print(Text(f"{f'patch {row.patch}' if row.patch else 'series'}: {row.summary}", style="bold"))
        if row.decided_by:
            console.print(f"  decided by {row.decided_by}")
        for name, decision in ((tree, row.tree), (base, row.base)):
            parts = [str(decision.answer), decision.figure, decision.why]
            console.print(Text(plain(f"  {name}: {'; '.join(part for part in parts if part)}")))
        if row.same:
            console.print("  what decides it does not tell the two apart")


def _begin(
    loaded: Config, ids: Sequence[str], trees: Sequence[str], options: tuple[Configs, int, int], **more: Any
) -> Run:
    from matrix.config import selection
    from matrix.runs import schedule, store

    configs, number, jobs = options
    words = list(dict.fromkeys(trees))
    picked = selection.select(selection.every(loaded, [selection.tree(loaded, word) for word in words]), ids)
    at_once = schedule.workers(number, len({cell.place for cell in picked}))
    folders = [str(folder.resolve()) for folder in configs]
    return store.begin(picked, words, folders, schedule.jobs(jobs, at_once), **more)


def _resumed(name: str, others: bool, *, planted: bool) -> tuple[Run, Config]:
    """Return a run of one of these two commands, and the configuration that it was begun with."""
    from matrix.errors import UsageError

    if others:
        raise UsageError("--resume goes with none of --select, --configs and --list", "The run has its own.")
    this = resumed(name, "mutants" if planted else "claims")
    return this, load.load([Path(folder) for folder in this.settings().configs])


def _do(this: Run, number: int, engine: str, console: Console) -> None:
    from matrix.runs import completion
    from matrix.runs.engine_access import EngineAccess

    completion.complete(this, number, EngineAccess(engine or None, console), attempts=1)


def _list(chosen: tuple[Edit, ...], *, json_output: bool) -> None:
    if json_output:
        print_json([edit.model_dump(mode="json") for edit in chosen])
        return
    for edit in chosen:
        assert edit.expect is not None
        typer.echo(f"{edit.name}: {edit.summary}\n  {edit.expect.check} in {', '.join(edit.expect.cells)}")
    typer.echo(f"{len(chosen)} faults", err=True)


def _print(found: MutantsResult, folder: str, console: Console) -> None:
    from matrix.reports.terminal import WIDTH
    from matrix.untrusted import plain

    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "cell", "check", "fate", "finding", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", no_wrap=heading != "finding")
    for row in found.planted:
        keys = row.killers.get(row.check) or tuple(key for each in row.killers.values() for key in each)
        finding = keys[0] + (f" (+{len(keys) - 1})" if len(keys) > 1 else "") if keys else row.reason
        table.add_row(
            row.fault or "(none)", row.cell, row.check, str(row.fate), Text(plain(finding)), f"{row.wall_s:.0f}"
        )
    wide = Console(file=console.file, width=None if console.is_terminal else WIDTH, highlight=False)
    wide.print(table)
    score = "no fault was judged" if found.score is None else f"{found.score:.1%} killed as intended"
    console.print(f"\n{score}; {found.mean_s:.1f} s a fault, with what was built to plant on\nrun: {folder}")
