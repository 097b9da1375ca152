"""mutants: whether the checks find what is wrong, and are silent otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix import config
from matrix.cli.options import Configs, Host, Jobs, Json, NoInstall, Number, forbid_install, print_json

if TYPE_CHECKING:
    from matrix.config import Config
    from matrix.model import Edit
    from matrix.mutants import Trust
    from matrix.store import Run

Faults = Annotated[list[str], typer.Option("--select", "-s", help="Faults by glob, as 'undo-*'.")]
Base = Annotated[str, typer.Option("--tree", "-t", help="The tree to plant them in.")]


def mutants(
    select: Faults = [], tree: Base = "7.3", configs: Configs = [], number: Number = 0, jobs: Jobs = 0,
    show: Annotated[bool, typer.Option("--list", help="Only name the faults.")] = False,
    resume: Annotated[str, typer.Option(metavar="RUN", help="Do what that run still lacks; then its report.")] = "",
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Plant faults in a tree, to see each check find what it should, and nothing in the tree as it is."""
    from matrix import launch, store
    from matrix import mutants as judge

    forbid_install(no_install)
    loaded = config.load(configs)
    chosen = judge.faults(loaded.edits, tree, select)
    if show:
        _list(chosen, json_output=json_output)
        return
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    this = store.find(resume) if resume else _begin(loaded, chosen, tree, (configs, number, jobs))
    wanted = this.settings().cells
    todo = launch.lacking(this, wanted)
    console.print(f"run {this.name}: {len(chosen)} faults, {len(todo)} of {len(wanted)} cells to do")
    if todo:
        launch.run(this, wanted, launch.workers(number, len(todo)), engine or None, console)
    found = judge.trust(this.name, tree, chosen, {result.id: result for result in this.results()})
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found, str(this.folder), console)
    raise typer.Exit(judge.exit_status(found))


def _begin(loaded: Config, chosen: tuple[Edit, ...], tree: str, options: tuple[Configs, int, int]) -> Run:
    from matrix import cells, launch, store
    from matrix import mutants as judge

    configs, number, jobs = options
    words = [tree, *(f"{tree}+{edit.name}" for edit in chosen)]
    ids = judge.wanted_cells(chosen, tree)
    every = cells.every(loaded, [cells.tree(loaded, word) for word in words])
    picked = cells.select(every, ids)
    at_once = launch.workers(number, len(picked))
    folders = [str(folder.resolve()) for folder in configs]
    return store.begin(picked, words, folders, launch.jobs(jobs, at_once), planted=True)


def _list(chosen: tuple[Edit, ...], *, json_output: bool) -> None:
    if json_output:
        print_json([edit.model_dump(mode="json") for edit in chosen])
        return
    for edit in chosen:
        assert edit.expect is not None
        typer.echo(f"{edit.name}: {edit.summary}\n  {edit.expect.check} in {', '.join(edit.expect.cells)}")
    typer.echo(f"{len(chosen)} faults", err=True)


def _print(found: Trust, folder: str, console: Console) -> None:
    from matrix.reports.text import plain

    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "cell", "check", "fate", "finding", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", no_wrap=heading != "finding")
    for row in found.planted:
        keys = row.killers.get(row.check) or tuple(key for each in row.killers.values() for key in each)
        finding = keys[0] + (f" (+{len(keys) - 1})" if len(keys) > 1 else "") if keys else row.reason
        table.add_row(
            row.fault or "(none)", row.cell, row.check, str(row.fate), Text(plain(finding)), f"{row.wall_s:.0f}"
        )
    console.print(table)
    score = "no fault was judged" if found.score is None else f"{found.score:.1%} killed as intended"
    console.print(f"\n{score}; {found.mean_s:.1f} s a fault, with what was built to plant on\nrun: {folder}")
