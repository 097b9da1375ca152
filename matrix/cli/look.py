"""list, plan and shell: the cells, the steps of one, and a shell inside of it."""

from __future__ import annotations

from typing import Annotated

import typer

from matrix.cli.options import (
    Configs,
    Exclude,
    Host,
    Json,
    NoInstall,
    ProfileName,
    Select,
    TreeNames,
    engine_access,
    print_json,
    progress_console,
    selection,
)
from matrix.config import load
from matrix.config.selection import one_cell, selected
from matrix.verdicts.wording import count


def list_cells(
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", tree: TreeNames = [],
    configs: Configs = [], json_output: Json = False,
) -> None:  # fmt: skip
    """List the cells that a profile or a glob selects."""
    found = selected(load.load(configs), selection(configs, select, exclude, profile, tree)).cells
    if json_output:
        print_json([{"id": cell.id, "image": cell.image.name, "toolchain": cell.toolchain, "build": cell.build.name,
                      "tree": cell.tree.name, "make": cell.make} for cell in found])  # fmt: skip
        return
    typer.echo("\n".join(cell.id for cell in found))
    typer.echo(count(len(found), "cell"), err=True)  # so that the output is ids alone, as for xargs


def plan(
    cell: Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")],
    tree: TreeNames = [], configs: Configs = [], json_output: Json = False,
) -> None:  # fmt: skip
    """Print the plan of a cell: its image, its steps with their commands, and both environments."""
    from matrix.engine import images
    from matrix.reports.tables import plan
    from matrix.scenario.plan import scenario

    found = one_cell(load.load(configs), cell, tree)
    planned = scenario(found)
    if json_output:
        typer.echo(planned.model_dump_json(indent=2))
        return
    typer.echo("\n".join(plan.lines(planned, images.dockerfile(found.image, found.image.base.pull))))


def shell(
    cell: Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")],
    after: Annotated[str, typer.Option(metavar="STEP", help="The step after which to look; none: the bare tree.")] = "",
    tree: TreeNames = [], configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
) -> None:  # fmt: skip
    """Open a shell in a cell's container as it was after a step, which is run first."""
    from matrix.runs import cell_shell

    console = progress_console(json_output=False)
    access = engine_access(engine, console, no_install=no_install)
    chosen = one_cell(load.load(configs), cell, tree)
    raise typer.Exit(cell_shell.shell(chosen, after, access.host, console))
