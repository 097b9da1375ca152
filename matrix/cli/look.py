"""list, plan and shell: the cells, the steps of one, and a shell inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.options import (
    Configs,
    Environment,
    Exclude,
    Goals,
    Host,
    ImageNames,
    Json,
    Make,
    NoInstall,
    OutOfTree,
    ProfileName,
    Select,
    Toolchain,
    TreeNames,
    adhoc_cells,
    engine_access,
    named_cell,
    print_json,
    print_parts,
    progress_console,
    selection,
)
from matrix.config import load
from matrix.config.selection import selected
from matrix.errors import UsageError
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.config.adhoc_build import AdhocCells
    from matrix.model.cell import Cell
    from matrix.runs.named_cell import NamedCell

RunOfCell = Annotated[
    str, typer.Option("--run", metavar="RUN", help="The run that the cell is of, as its report prints the cell.")
]


def list_cells(
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", tree: TreeNames = [],
    configs: Configs = [], json_output: Json = False,
) -> None:  # fmt: skip
    """List the cells that a profile or a glob selects."""
    from matrix.reports.tables import line
    from matrix.reports.terminal import console

    found = selected(load.load(configs), selection(configs, select, exclude, profile, tree)).cells
    if json_output:
        print_json([{"id": cell.id, "image": cell.image.name, "toolchain": cell.toolchain, "build": cell.build.name,
                      "tree": cell.tree.name, "make": cell.make} for cell in found])  # fmt: skip
        return
    print_parts((line(cell.id) for cell in found), console())
    typer.echo(count(len(found), "cell"), err=True)  # so that the output is ids alone, as for xargs


def plan(
    cell: Annotated[
        str, typer.Argument(metavar="[CELL]", help="A cell's id, or a glob; none with a build of --make and its like.")
    ] = "",
    run: RunOfCell = "", tree: TreeNames = [], configs: Configs = [],
    make: Make = [], environment: Environment = [], goal: Goals = [], out_of_tree: OutOfTree = False,
    image: ImageNames = [], toolchain: Toolchain = "", json_output: Json = False,
) -> None:  # fmt: skip
    """Print the plan of a cell: its image, its steps with their commands, and both environments."""
    from matrix.engine import images
    from matrix.reports.tables import plan
    from matrix.reports.terminal import console
    from matrix.scenario.plan import scenario

    adhoc = adhoc_cells(make, environment, goal, image, toolchain, out_of_tree=out_of_tree)
    if bool(cell or run) == bool(adhoc):
        raise UsageError("a plan is that of a CELL, or of a build of --make, --env, --goal, …", "Name one of them.")
    found = _adhoc_cell(adhoc, tree, configs) if adhoc else _named_cell(cell, tree, configs, run).cell
    planned = scenario(found)
    if json_output:
        print_json(planned.model_dump(mode="json"))
        return
    print_parts(plan.lines(planned, images.source(found.image)), console())


def shell(
    cell: Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")],
    after: Annotated[str, typer.Option(metavar="STEP", help="The step after which to look; none: the bare tree.")] = "",
    run: RunOfCell = "", tree: TreeNames = [], configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
) -> None:  # fmt: skip
    """Open a shell in a cell's container as it was after a step, which is run first."""
    from matrix.runs import cell_shell

    access = engine_access(engine, progress_console(json_output=False), no_install=no_install)
    chosen = _named_cell(cell, tree, configs, run)
    how = cell_shell.circumstances(chosen)
    raise typer.Exit(cell_shell.shell(chosen.cell, after, access, how))


def _adhoc_cell(adhoc: AdhocCells, tree: list[str], configs: list[Path]) -> Cell:
    """Return the cell of a build that the command line says, on its first image and on the tree or the usual one."""
    from matrix.config.selection import one_cell

    return one_cell(adhoc.added(load.load(configs)), adhoc.globs[0], tree)


def _named_cell(cell: str, tree: list[str], configs: list[Path], run: str) -> NamedCell:
    """Return the cell that a CELL and the options name; a run from elsewhere does not say what is built here."""
    from matrix.runs import ownership, store

    if run:
        ownership.refuse_outside_of_the_state_folder(store.find(run))
    return named_cell(cell, tree, configs, run)
