"""images: the images of cells pushed to a registry, by whose digests others use the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.options import (
    Configs,
    Exclude,
    Host,
    NoInstall,
    ProfileName,
    Select,
    TreeNames,
    engine_access,
    progress_console,
    selection,
)

images_app = typer.Typer(
    help="Push the images of cells to a registry, for other machines.", no_args_is_help=True, add_completion=False
)


@images_app.callback()
def images() -> None:
    """Push the images of cells to a registry, for other machines."""  # a callback keeps `push` a command of a group


@images_app.command("push")
def push(
    registry: Annotated[str, typer.Argument(metavar="REGISTRY", help="HOST, HOST:PORT or HOST:PORT/PATH.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder of configuration to write recipes into.")],
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", tree: TreeNames = [],
    configs: Configs = [], engine: Host = "", no_install: NoInstall = False,
) -> None:  # fmt: skip
    """Push the images of the selected cells, made now if they are not there; runs with --configs DIR pull them.

    Each recipe is written into DIR with the digest of the image; a run with it uses these bytes, or none.
    """
    from matrix.config import load
    from matrix.config.selection import selected
    from matrix.engine import pushing

    pushing.check(registry)
    cells = selected(load.load(configs), selection(configs, select, exclude, profile, tree)).cells
    access = engine_access(engine, progress_console(json_output=True), no_install=no_install)
    connected = access.connect()
    for image in {cell.image.name: cell.image for cell in cells}.values():
        pushed = pushing.push(image, registry, connected, access.say)
        load.write_image(pushed, to)
        typer.echo(pushed.pushed.reference if pushed.pushed else "")
