"""repro and bundle: a result's cell run again, here or on another machine."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.options import (
    Configs,
    Host,
    Json,
    NoInstall,
    engine_access,
    print_json,
    print_parts,
    progress_console,
)
from matrix.config import load
from matrix.errors import UsageError
from matrix.untrusted import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from matrix.repro.reproduce import ReproResult


def bundle(
    of: Annotated[str, typer.Argument(metavar="RUN-or-RESULT", help="A run's name or folder, or a result.json.")],
    cell: Annotated[str, typer.Argument(metavar="[CELL]", help="The run's cell; none: the only one that failed.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
) -> None:
    """Write one file to attach to a mail: a result, its logs, recipe and patch; no sources, no private paths."""
    from matrix import files
    from matrix.repro import original, packing

    first = original.to_bundle(of, cell)
    packed = packing.bundled(first)
    if output and output.is_dir():
        raise UsageError(f"{output} is a folder", "--output names the file to write.")
    target = output or Path(f"{first.result.id.replace('/', '_')}.perf-matrix.tar.gz")  # an id has slashes
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "--output names the file to write.")
    files.write(target, packed)
    typer.echo(one_line(f"{target}: {len(packed) / 1024:.0f} KiB; `{_command(target, packed)}` reproduces it"))


def _command(target: Path, packed: bytes) -> str:
    """Return the command that reproduces a bundle elsewhere, where only our own configuration is sure to be."""
    from matrix.repro import adoption, bundle, consistency

    tree = consistency.definition(bundle.unpack(packed).result).tree.unedited
    command = f"perf-matrix repro --from {target}"
    return command if adoption.tree_known_here(tree, load.load()) else f"{command} --tree YOUR-TREE"


def repro(
    what: Annotated[
        str, typer.Argument(metavar="[RESULT-or-CELL]", help="A result.json, or a cell that was run here.")
    ] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="URL-or-FILE", help="A bundle that `perf-matrix bundle` wrote.")
    ] = "",
    tree: Annotated[
        str, typer.Option("--tree", "-t", metavar="SPEC", help="The tree, where the result's is its sender's alone.")
    ] = "",
    run: Annotated[str, typer.Option(metavar="RUN", help="Take the cell's result in this run, not the newest.")] = "",
    shell: Annotated[bool, typer.Option("--shell", help="End in a shell in the cell, after what failed.")] = False,
    configs: Configs = [],
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="make's parallel jobs; 0: as many as then.", min=0)] = 0,
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Run the cell of a result again, and compare the two results: ingredients, verdicts and findings."""
    from matrix import reports
    from matrix.repro import original, reproduce
    from matrix.runs import run_report

    if shell and json_output:
        raise UsageError("--shell and --json do not go together", "Give one of them.")
    console = progress_console(json_output=json_output)
    access = engine_access(engine, console, no_install=no_install)
    first = original.find(what, source, run, functools.partial(console.print, markup=False))
    request = reproduce.ReproRequest(first, tree, tuple(configs), jobs)
    found = reproduce.reproduce(request, access)
    _print(found, console, json_output=json_output)
    if shell:  # after the comparison, which a person in the shell wants to have read
        reproduce.shell_after_failure(found, access)
    raise typer.Exit(reports.exit_status(run_report.of_run(found.run)))


def _print(found: ReproResult, console: Console, *, json_output: bool) -> None:
    from matrix.reports.tables import reproduction as tables
    from matrix.verdicts.failing_step import failing_step

    run, folder = found.run.name, str(found.run.folder)
    if not json_output:
        print_parts(tables.parts(found.ingredients, found.outcome, found.now, run, folder), console)
        return
    print_json(
        {
            "schema_version": 1,
            "run": run,
            "folder": folder,
            "cell": found.now.id,
            "verdict": found.now.verdict,
            "failing_step": failing_step(found.now),
            "outcome": found.outcome.model_dump(mode="json"),
            "ingredients": [row.model_dump(mode="json") for row in found.ingredients],
        }
    )
