"""repro and bundle: the same failure on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.cli.options import Configs, Host, Json, NoInstall, forbid_install, print_json
from matrix.errors import InfrastructureError, UsageError
from matrix.reports.terminal import STYLES
from matrix.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.cell import Cell, Limits
    from matrix.model.result import CellResult
    from matrix.model.tree import Tree
    from matrix.repro.original import Original
    from matrix.runs.store import Run
    from matrix.verdicts.ingredients import Ingredient
    from matrix.verdicts.reproduction import Reproduction

SAME = {"same": "green", "differs": "bold yellow", "unknown": "dim"}
SHOWN = 160


def bundle(
    of: Annotated[str, typer.Argument(metavar="RUN-or-RESULT", help="A run's name or folder, or a result.json.")],
    cell: Annotated[str, typer.Argument(metavar="[CELL]", help="The run's cell; none: the only one that failed.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
) -> None:
    """Write one file to attach to a mail: a result, its logs, recipe and patch; no sources, no private paths."""
    from matrix import files
    from matrix.repro import bundle as bundles
    from matrix.repro import original

    if Path(of).is_file():
        if cell:
            raise UsageError(f"{of} is the result of one cell", "Give no CELL, or the run.")
        first = original.of_file(Path(of))
    else:
        first = original.of_run(of, cell)
    packed = bundles.pack(first.result, original.logs(first), original.patch(first), original.places(first))
    target = output or Path(f"{first.result.id.replace('/', '_')}.perf-matrix.tar.gz")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "--output names the file to write.")
    files.write(target, packed)
    typer.echo(f"{target}: {len(packed) / 1024:.0f} KiB; `perf-matrix repro --from {target}` reproduces it")


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
    """Do a cell again from its result, and say what of it is the same: ingredients, verdict and findings."""
    from matrix import reports
    from matrix.repro import self_contained_run
    from matrix.runs import launch, run_report
    from matrix.verdicts.ingredients import compare_ingredients
    from matrix.verdicts.reproduction import reproduction

    forbid_install(no_install)
    if shell and json_output:
        raise UsageError("--shell and --json do not go together", "Give one of them.")
    first = _first(what, source, run)
    folders = [*_own_folders(first), *(str(folder.resolve()) for folder in configs)]
    cell, limits = _to_do(first, tree, folders)
    chosen = jobs or first.result.jobs
    console = Console(stderr=json_output, highlight=False)
    if first.patch is not None:
        cell = cell.model_copy(update={"tree": _patched(cell.tree, first.patch, engine, console)})
    this = self_contained_run.begin(cell, chosen, limits, folders)
    console.print(f"run {this.name}: {cell.id}, as in run {plain(first.result.run, lines=False)}", markup=False)
    launch.run(this, (cell.id,), 1, engine or None, console)
    now = this.result(cell.id)
    if now is None:
        raise InfrastructureError(f"{cell.id} has no result", f"Go on: perf-matrix run --resume {this.name}")
    rows = compare_ingredients(first.result, now)
    outcome = reproduction(first.result, now)
    if json_output:
        print_json(_data(this, now, rows, outcome))
    else:
        _show(console, rows)
        for line in [*_said(outcome), *_ended(now, this)]:
            console.print(line, soft_wrap=True)
    if shell:
        _shell(now, this, engine, console)
    raise typer.Exit(reports.exit_status(run_report.of_run(this)))


def _first(what: str, source: str, run: str) -> Original:
    from matrix.repro import original

    if bool(what) == bool(source):
        raise UsageError(
            "what is to be reproduced?" if not what else f"{what} and --from do not go together",
            "Give a result's file, a cell that was run here, or --from BUNDLE.",
        )
    if run and (source or Path(what).is_file()):
        raise UsageError("--run goes with a cell only", "A file and a bundle hold one result.")
    if source:
        return original.of_bundle(source)
    return original.of_file(Path(what)) if Path(what).is_file() else original.of_cell(what, run)


def _own_folders(first: Original) -> list[str]:
    """Return the folders of configuration of a run of this machine's, as far as they are still there."""
    return [folder for folder in first.own.settings().configs if Path(folder).is_dir()] if first.own else []


def _to_do(first: Original, spec: str, folders: Sequence[str]) -> tuple[Cell, Limits]:
    """Return the cell and its limits: as they were where the result is our own, else what is ours of its names."""
    from matrix.config import load
    from matrix.repro import adoption, consistency

    result = first.result
    then = consistency.definition(result)
    if first.own and not spec:
        return then, result.limits
    loaded = load.load([Path(folder) for folder in folders])
    if first.own:
        tree = adoption.chosen_tree(result, then.tree, loaded, spec)
        return then.model_copy(update={"tree": tree.model_copy(update={"delta": then.tree.delta})}), result.limits
    cell = adoption.adopted(result, then, loaded, spec, has_patch=first.patch is not None)
    return cell, adoption.bounded(result.limits)


def _patched(tree: Tree, diff: bytes, engine: str, console: Console) -> Tree:
    """Return a tree with a bundle's patch on it, below its edits.

    Raises:
        UsageError: it does not apply.

    """
    from matrix.engine import private_engine
    from matrix.runs import interrupts, ownership
    from matrix.series import apply
    from matrix.trees.patches import Patch

    with interrupts.interruptible():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        on = apply.below(tree.model_copy(update={"edits": (), "summary": tree.source}), connected, console.print)
    [commit] = apply.commits(on, [Patch(1, "the patch of the bundle", "", "", "", "", diff)])
    return on.made(tree.name, tree.summary, commit).model_copy(update={"edits": tree.edits})


def _data(run: Run, now: CellResult, rows: Sequence[Ingredient], outcome: Reproduction) -> dict[str, object]:
    from matrix.verdicts.failing_step import failing_step

    return {
        "schema_version": 1,
        "run": run.name,
        "folder": str(run.folder),
        "cell": now.id,
        "verdict": now.verdict,
        "failing_step": failing_step(now),
        "outcome": outcome.model_dump(mode="json"),
        "ingredients": [row.model_dump(mode="json") for row in rows],
    }


def _show(console: Console, rows: Sequence[Ingredient]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("ingredient", "", "then", "now"):
        table.add_column(name, overflow="fold")
    for row in rows:
        alike = row.same == "same" and row.then == row.now
        table.add_row(
            _text(row.name), Text(row.same, style=SAME[row.same]), _text(row.then), _text("" if alike else row.now)
        )
        if row.note:
            table.add_row("", "", _text(row.note), "")
    console.print(table)


def _text(given: str) -> Text:
    """Return what a stranger may have written as it can be shown."""
    line = plain(given, lines=False)
    return Text(line if len(line) <= SHOWN else f"{line[:SHOWN]}…")


def _said(outcome: Reproduction) -> Iterator[Text]:
    for one in outcome.differences:
        yield Text("").append_text(_text(f"{one.check}: {one.then} then, {one.now} now"))
        for mark, keys in (("no longer", one.gone), ("new", one.new)):
            for key in keys[:8]:
                yield Text(f"  {mark}: ").append_text(_text(key))
            if len(keys) > 8:
                yield Text(f"  {mark}: and {len(keys) - 8} more")
    yield Text(f"{outcome.answer}: ", style="bold").append_text(_text(outcome.reason))


def _ended(now: CellResult, run: Run) -> Iterator[Text]:
    """Say where it failed: the step, why, and its log."""
    from matrix.verdicts.failing_step import failing_step

    name = failing_step(now)
    step = next((step for step in now.steps if step.name == name), None)
    folder = run.cell(now.id)
    if step:
        said = Text(f"step {name}: ").append(str(step.verdict), style=STYLES[step.verdict])
        yield said.append_text(_text(f" {step.reason}".rstrip()))
        yield Text(f"  {plain(step.command, lines=False)}")
        yield Text(f"  see {folder}/{step.log}")
    yield (
        Text("verdict: ")
        .append(str(now.verdict), style=STYLES[now.verdict])
        .append_text(_text(f" {now.reason}".rstrip()))
    )
    yield Text(f"run: {run.folder}; `perf-matrix report {run.name}` says all of it")


def _shell(now: CellResult, run: Run, engine: str, console: Console) -> None:
    from matrix.repro import consistency
    from matrix.runs import cell_shell
    from matrix.verdicts.failing_step import failing_step

    after = failing_step(now) or "build"
    cell = consistency.definition(now)
    console.print(f"a shell after step {after}", markup=False)
    how = cell_shell.Circumstances(now.jobs, now.limits, run.pins)
    cell_shell.shell(cell, after, engine or None, console, how)
