"""Options that several commands share, and the cells that they select."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matrix.config import load, selection
from matrix.errors import UsageError

if TYPE_CHECKING:
    from matrix.model.cell import Cell
    from matrix.runs.store import Run

Select = Annotated[list[str], typer.Option("--select", "-s", help="Cells by glob, as 'debian-*/gcc/static'.")]
Exclude = Annotated[list[str], typer.Option("--exclude", "-x", help="Cells to leave out, by glob.")]
ProfileName = Annotated[str, typer.Option("--profile", "-p", help="A named selection from configs/profiles.")]
TreeNames = Annotated[
    list[str],
    typer.Option("--tree", "-t", help="7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE."),
]
Against = Annotated[
    str, typer.Option("--base", metavar="TREE", help="Run each cell on this tree, too, and hold it against that.")
]
Repository = Annotated[
    Path | None, typer.Option("--repo", help="The git repository that revisions are of; never written to.")
]
Configs = Annotated[list[Path], typer.Option("--configs", help="A folder of your own images, builds, trees, profiles.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Number = Annotated[int, typer.Option("-n", help="Cells at once; 0 chooses.", min=0)]
Jobs = Annotated[int, typer.Option("-j", "--jobs", help="make's parallel jobs in a cell; 0 chooses.", min=0)]
Resume = Annotated[str, typer.Option(metavar="RUN", help="Do what that run still lacks; then its report.")]
Host = Annotated[str, typer.Option("--engine", help="The engine's socket, as unix:///var/run/docker.sock.")]
NoInstall = Annotated[bool, typer.Option("--no-install", help="Never install a program on this machine.")]


def print_json(data: Any) -> None:
    """Print data for machines."""
    typer.echo(json.dumps(data, indent=2))


def forbid_install(forbid: bool) -> None:
    """Let nothing that this process starts install a program, where --no-install says so."""
    if forbid:
        from matrix.engine import host_packages

        host_packages.forbid()


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


def selected(
    profile: str, trees: list[str], select: list[str], exclude: list[str], folders: list[Path]
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Return the cells that the options select, and the trees that they are on as they were asked for."""
    loaded = load.load(folders)
    chosen = selection.profile(loaded, profile)
    words = tuple(trees) or chosen.trees
    return selection.of_profile(loaded, chosen, words, select, exclude), words


def beside(
    found: tuple[Cell, ...], words: tuple[str, ...], base: str, folders: list[Path]
) -> tuple[tuple[Cell, ...], tuple[str, ...], str]:
    """Return cells and their trees with those of a base tree that they are held against, and its name, if any."""
    if not base:
        return found, words, ""
    tree = selection.tree(load.load(folders), base)
    if all(cell.tree.name == tree.name for cell in found):
        raise UsageError(f"--base {base} is the tree itself", "Hold it against another one: --tree names it.")
    more = {cell.id: cell for cell in found} | {
        other.id: other for cell in found for other in [cell.model_copy(update={"tree": tree})]
    }
    return tuple(more[cell_id] for cell_id in sorted(more)), tuple(dict.fromkeys((base, *words))), tree.name


def one(glob: str, trees: list[str], folders: list[Path]) -> Cell:
    """Return the one cell that a glob selects, on the tree that it names or else on 7.3.

    Raises:
        UsageError: it selects none, or more than one.

    """
    loaded = load.load(folders)
    words = trees or (
        [glob.partition("@")[2]] if "@" in glob and not set(glob.partition("@")[2]) & set("*?[") else ["7.3"]
    )
    everything = selection.every(loaded, [selection.tree(loaded, word) for word in words])
    found = selection.select(everything, [glob])
    if len(found) > 1:
        raise UsageError(
            f"{glob!r} selects {len(found)} cells", f"Name one of: {', '.join(c.id for c in found[:6])}, …"
        )
    return found[0]
