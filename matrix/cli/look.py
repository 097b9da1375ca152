"""list, plan and shell: what there is, what would be done, and a look inside."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from matrix.cli.options import (
    Configs,
    Exclude,
    Host,
    Json,
    NoInstall,
    ProfileName,
    Select,
    TreeNames,
    forbid_install,
    one,
    print_json,
    selected,
)


def list_cells(
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", tree: TreeNames = [],
    configs: Configs = [], json_output: Json = False,
) -> None:  # fmt: skip
    """List the cells that a profile or a glob selects."""
    found, _ = selected(profile, tree, select, exclude, configs)
    if json_output:
        print_json([{"id": cell.id, "image": cell.image.name, "toolchain": cell.toolchain, "build": cell.build.name,
                      "tree": cell.tree.name, "make": cell.make} for cell in found])  # fmt: skip
        return
    for cell in found:
        typer.echo(cell.id)
    typer.echo(f"{len(found)} cells", err=True)


def plan(
    cell: Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")],
    tree: TreeNames = [], configs: Configs = [], json_output: Json = False,
) -> None:  # fmt: skip
    """Print what would be done to a cell: its steps, their commands and circumstances."""
    from matrix.engine import images
    from matrix.scenario.plan import scenario

    found = one(cell, tree, configs)
    planned = scenario(found)
    if json_output:
        typer.echo(planned.model_dump_json(indent=2))
        return
    typer.echo(f"{found.id}\nimage: {images.dockerfile(found.image, found.image.base.pull)}")
    for step in planned.steps:
        typer.echo(f"{step.name} ({step.place} container): {step.summary}\n  {step.text}")
    first, second = (
        planned.steps[0].environment,
        next(s for s in planned.steps if s.place == "second").environment,
    )
    typer.echo("environment, and in the second container:")
    for name in sorted(first.keys() | second.keys()):
        other = "" if first.get(name) == second.get(name) else f"  ->  {second.get(name, '(unset)')}"
        typer.echo(f"  {name}={first.get(name, '(unset)')}{other}")


def shell(
    cell: Annotated[str, typer.Argument(help="A cell's id, or a glob that selects one.")],
    after: Annotated[str, typer.Option(metavar="STEP", help="The step after which to look; none: the bare tree.")] = "",
    tree: TreeNames = [], configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
) -> None:  # fmt: skip
    """Open a shell in a cell's container as it was after a step, which is run first."""
    from matrix.runs import cell_shell

    forbid_install(no_install)
    raise typer.Exit(
        cell_shell.shell(one(cell, tree, configs), after, engine or None, Console(highlight=False, soft_wrap=True))
    )
