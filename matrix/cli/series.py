"""series: what each patch of a series breaks that its base did not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.cli.gate import twice
from matrix.cli.options import (
    Configs,
    Exclude,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    Repository,
    Resume,
    Select,
    forbid_install,
    print_json,
    resumed,
)
from matrix.errors import UsageError
from matrix.reports.terminal import WIDTH
from matrix.scenario import perf
from matrix.untrusted import plain
from matrix.verdicts import breaks, kept_build
from matrix.verdicts import series as judge

if TYPE_CHECKING:
    from matrix.model.cell_id import Place
    from matrix.model.tree import Tree
    from matrix.runs.store import Run
    from matrix.verdicts.series import PatchResult, PatchTree, SeriesResult

Bases = Annotated[list[str], typer.Option("--base", help="What it is applied to: a revision, or a tree as 7.3.")]


def series(
    where: Annotated[str, typer.Argument(metavar="[MBOX|FOLDER|A..B]", help="The patches.")] = "",
    base: Bases = [], repo: Repository = None,
    without: Annotated[list[int], typer.Option(help="Leave this patch out, by its number.")] = [],
    independence: Annotated[bool, typer.Option(help="Say of each patch whether it can be taken alone.")] = False,
    exhaustive: Annotated[
        bool, typer.Option(help="Run every patch in every cell and from scratch, not only where it matters.")
    ] = False,
    select: Select = [], exclude: Exclude = [],
    profile: Annotated[str, typer.Option("--profile", "-p", help="Where the whole series is run.")] = "gate",
    each: Annotated[str, typer.Option(metavar="GLOB", help="Where every patch is run: one cell, if not said.")] = "",
    configs: Configs = [], number: Number = 0, jobs: Jobs = 0, resume: Resume = "", engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Apply a series, patch by patch; name the first that does not build or newly fails a check."""
    from matrix.runs import schedule

    forbid_install(no_install)
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    if resume:
        this = resumed(resume, "series")
    else:
        if not (where and base):
            raise UsageError("a series needs patches and --base", "As v7.mbx --base v7.1 --repo ~/linux.")
        asked = _Asked(
            where, tuple(base), repo, frozenset(without), independence, exhaustive, tuple(configs), engine or None
        )
        applied = _apply(asked, console)
        places = _places(applied, (select, exclude, profile, each), everywhere=exhaustive)
        this = _begin(applied, places, configs, schedule.jobs(jobs, schedule.workers(number, len(set(places)))))
    _run(this, number, engine, console)
    if not any(step.alone for step in _patches(this)):
        _search(this, number, engine, console)
    found = _outcome(this)
    if json_output:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found, console)
        console.print(
            f"\nrun: {this.folder}\neach finding: perf-matrix report {this.name}; this again: --resume {this.name}"
        )
    raise typer.Exit(found.exit_status)


@dataclass(frozen=True)
class _Asked:
    where: str
    bases: tuple[str, ...]
    repository: Path | None
    without: frozenset[int]
    alone: bool
    from_scratch: bool
    configs: tuple[Path, ...]
    engine: str | None


@dataclass(frozen=True)
class _Applied:
    """A series on its base: a step per patch, and the folder of configuration that has a tree for each."""

    base: Tree
    steps: tuple[PatchTree, ...]
    folder: Path
    configs: tuple[Path, ...]


def _apply(asked: _Asked, console: Console) -> _Applied:
    """Apply a series, or where it is to be said what can be taken alone each patch by itself."""
    from matrix import paths
    from matrix.config import load
    from matrix.engine import private_engine
    from matrix.runs import interrupts, ownership
    from matrix.series import apply
    from matrix.trees import patches

    found = patches.read(asked.where, asked.repository)
    unknown = asked.without - {patch.number for patch in found}
    if unknown:
        raise UsageError(f"--without {min(unknown)}: the series has no such patch", f"It has {len(found)}.")
    chosen = [patch for patch in found if patch.number not in asked.without]
    if not chosen:
        raise UsageError("--without leaves no patch", "Leave fewer out.")
    loaded = load.load(asked.configs)
    with interrupts.interruptible():
        engine = private_engine.ensure(asked.engine, ownership.label(), console.print)
        on, *others = [apply.base(word, asked.repository, loaded, engine, console.print) for word in asked.bases]
    missing = patches.missing(found)
    commits = apply.commits(on, chosen, others, sorted({*missing, *asked.without}))
    console.print(f"{len(commits)} patch{'es' if len(commits) > 1 else ''} apply to {on.word}")
    if missing:
        console.print(f"not among the patches: {', '.join(map(str, missing))}")
    steps, commits = apply.steps(on, chosen, commits, alone=asked.alone, from_scratch=asked.from_scratch)
    made = [on.made(step.tree, step.subject, commit) for step, commit in zip(steps, commits, strict=True)]
    name = hashlib.sha256("".join((on.commit, *commits)).encode()).hexdigest()[:16]
    folder = paths.state() / "series" / name
    apply.configure(folder, [on.tree, *made])
    return _Applied(on.tree, tuple(steps), folder, asked.configs)


def _places(
    applied: _Applied, asked: tuple[list[str], list[str], str, str], *, everywhere: bool
) -> dict[Place, tuple[str, ...]]:
    """Return for each cell (IMAGE/TOOLCHAIN/BUILD) the trees that it is run on."""
    from matrix.config import load, selection

    select, exclude, profile, each = asked
    loaded = load.load([*applied.configs, applied.folder])
    chosen = selection.profile(loaded, profile)
    last = applied.steps[-1]
    ends = [cell.place for cell in selection.of_profile(loaded, chosen, [judge.BASE], select, exclude)]
    glob = each or (ends[0] if select else loaded.profiles["smoke"].select[0])
    walked = [cell.place for cell in selection.select(selection.every(loaded, [applied.base]), [glob])]
    busy = [step.tree for step in applied.steps if everywhere or not step.idle]
    if not busy:
        raise UsageError(
            "no patch changes anything that perf is built from", f"That is what {perf.MANIFEST} lists, and there is"
            " nothing to build; --exhaustive builds all the same.",
        )  # fmt: skip
    alone = last.alone
    return {
        place: (judge.BASE, *(busy if everywhere or place in walked else [] if alone else busy[-1:]))
        for place in dict.fromkeys((*walked, *(() if alone else ends)))
    }


def _begin(applied: _Applied, places: dict[Place, tuple[str, ...]], configs: list[Path], jobs: int) -> Run:
    from matrix.config import load, selection
    from matrix.runs import store
    from matrix.runs.run_kind import SeriesRun

    folders = [*configs, applied.folder]
    loaded = load.load(folders)
    names = (judge.BASE, *(step.tree for step in applied.steps))
    wanted = {place.on(tree) for place, on in places.items() for tree in on}
    every = selection.every(loaded, [loaded.trees[name] for name in names])
    picked = [cell for cell in every if cell.id in wanted]
    absolute = [str(folder.resolve()) for folder in folders]
    return store.begin(picked, names, absolute, jobs, base=judge.BASE, kind=SeriesRun(patches=applied.steps))


def _rows(this: Run) -> tuple[PatchResult, ...]:
    settings = this.settings()
    return judge.patch_results(_patches(this), settings.cells, {result.id: result for result in this.results()})


def _patches(this: Run) -> tuple[PatchTree, ...]:
    from matrix.runs.run_kind import SeriesRun

    kind = this.settings().kind
    assert isinstance(kind, SeriesRun)
    return kind.patches


def _run(this: Run, number: int, engine: str, console: Console) -> None:
    """Run what a series lacks; and from scratch what went on with another patch's build and fails otherwise."""
    from matrix.runs.run_kind import SeriesRun

    twice(this, number, engine, console)
    doubtful = kept_build.doubtful({result.id: result for result in this.results()})
    if not doubtful:
        return
    names = {cell_id.tree for cell_id in doubtful}
    steps = tuple(
        step.model_copy(update={"may_go_on_with": ""}) if step.tree in names else step for step in _patches(this)
    )
    this.save_settings(this.settings().model_copy(update={"kind": SeriesRun(patches=steps)}))
    for cell_id in doubtful:
        this.forget(cell_id)
    console.print(f"once more, from scratch: {', '.join(doubtful)}")
    _run(this, number, engine, console)


def _search(this: Run, number: int, engine: str, console: Console) -> None:
    """Run what is needed to name the first patch in each cell that newly fails at the end."""
    while True:
        rows = _rows(this)
        places = dict.fromkeys(cell_id.place for cell_id in this.settings().cells)
        found = {place: breaks.next_row(rows, place) for place in places}
        new = [place.on(rows[at].step.tree) for place, at in found.items() if at is not None]
        if not new:
            return
        console.print(f"looking for the first patch: {', '.join(new)}")
        this.extend(new)
        _run(this, number, engine, console)


def _outcome(this: Run) -> SeriesResult:
    base = next((tree.summary for tree in _trees(this) if tree.name == judge.BASE), judge.BASE)
    return breaks.series_result(this.name, base, _rows(this))


def _trees(this: Run) -> tuple[Tree, ...]:
    from matrix.config import load

    settings = this.settings()
    loaded = load.load([Path(folder) for folder in settings.configs])
    return tuple(loaded.trees[name] for name in settings.trees)


def _print(found: SeriesResult, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("patch", "", "cells", "newly fails", "subject"):
        table.add_column(heading, justify="right" if heading in ("patch", "cells") else "left", overflow="fold")
    for row in found.rows:
        fails = {f"{held.cell}: {said.key}" for held in row.held for said in held.broken}
        shown = sorted(fails)[:3] + ([f"and {len(fails) - 3} more"] if len(fails) > 3 else [])
        said = "idle" if row.step.idle else str(row.verdict) if row.held else "applies"
        went_on = {held.on for held in row.held}
        if went_on - {""}:
            said += f" on {', '.join(sorted(filter(None, went_on)))}"
        if row.step.alone:
            said += f" with {', '.join(map(str, row.step.needs))}" if row.step.needs else " alone"
        undecided = [f"{held.cell}: {held.undecided}" for held in row.held if held.undecided]
        table.add_row(
            str(row.step.number), said, str(len(row.held) or ""), Text(plain("\n".join([*shown, *undecided]))),
            Text(plain(row.step.subject, lines=False)),
        )  # fmt: skip
    Console(file=console.file, width=None if console.is_terminal else WIDTH, highlight=False).print(table)
    subjects = {row.step.number: row.step.subject for row in found.rows}
    alone = any(row.step.alone for row in found.rows)
    for broken in () if alone else found.breaks:
        last = broken.suspects[-1]
        which = f"from patch {last} on" if len(broken.suspects) == 1 else f"from one of {broken.suspects} on"
        mended = f" (until patch {broken.mended})" if broken.mended else ""
        console.print(Text(plain(f"{broken.cell} newly fails {which}{mended}: {subjects[last]}", lines=False)))
        console.print(
            Text(plain(f"  {', '.join(broken.keys[:3])}{', …' if len(broken.keys) > 3 else ''}", lines=False))
        )
    if not found.exit_status:
        console.print(f"nothing newly fails that {found.base} passed")
