"""bisect: the commit that made a check fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from matrix.cli.gate import twice
from matrix.cli.options import Configs, Host, Jobs, Json, NoInstall, Number, Repository, forbid_install, print_json
from matrix.errors import InfrastructureError, UsageError
from matrix.untrusted import plain
from matrix.verdicts import series as judge

if TYPE_CHECKING:
    from matrix.runs.store import Run
    from matrix.series.apply import PatchBase

GOOD, BAD, SKIP, STOP = 0, 1, 125, 128
"""What git-bisect(1) takes from the command of `git bisect run`; from 128 on it ends."""


def bisect(
    good: Annotated[str, typer.Option(help="A revision where the check did not fail.")],
    bad: Annotated[str, typer.Option(help="A later one where it does.")],
    select: Annotated[str, typer.Option("--select", "-s", help="The cell to run, as debian-trixie/gcc/static.")],
    check: Annotated[str, typer.Option(help="The check that fails.")],
    repo: Repository = None, configs: Configs = [], number: Number = 0, jobs: Jobs = 0, engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Find the commit that made a check fail, through `git bisect run`, in a repository of our own."""
    from matrix.checks import registry
    from matrix.config import load, selection
    from matrix.engine import private_engine
    from matrix.errors import did_you_mean
    from matrix.runs import interrupts, ownership, schedule, store
    from matrix.runs.run_kind import BisectRun
    from matrix.series import apply
    from matrix.trees import git, scratch_repository

    forbid_install(no_install)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if check not in registry():
        raise UsageError(f"no check {check!r}{did_you_mean(check, registry())}", f"There are: {', '.join(registry())}.")
    where = (repo or Path()).resolve()
    first, last = (git.commit(where, revision) for revision in (good, bad))
    if first == last or git.attempt(where, "merge-base", "--is-ancestor", first, last).returncode:
        raise UsageError(f"{bad} does not come after {good}", "--good names an ancestor of --bad. Are they swapped?")
    loaded = load.load(configs)
    with interrupts.interruptible():
        connected = private_engine.ensure(engine or None, ownership.label(), console.print)
        on = apply.base(first, where, loaded, connected, console.print)
    found = selection.select(selection.every(loaded, [on.tree]), [select.partition("@")[0]])
    if len(found) > 1:
        raise UsageError(f"{select!r} selects {len(found)} cells", f"Name one, as {found[0].id.partition('@')[0]}.")
    absolute = [str(path.resolve()) for path in configs]
    this = store.begin(
        found, [judge.BASE], absolute, schedule.jobs(jobs, 1), base=judge.BASE, kind=BisectRun(check=check)
    )
    folder = this.folder / "configs"
    apply.configure(folder, [on.tree])
    this.save_settings(this.settings().model_copy(update={"configs": (*absolute, str(folder))}))
    twice(this, number, engine, console)
    for revision, wanted in ((first, GOOD), (last, BAD)):
        came = _try(this, on, revision, check, engine, console)
        if came == STOP:
            raise InfrastructureError(f"{revision[:12]} could not be run", f"perf-matrix report {this.name}")
        if came != wanted:
            word = "does not newly fail" if wanted == BAD else "cannot be come to"
            raise UsageError(f"{check} {word} at {revision[:12]} in {found[0].id}", f"perf-matrix report {this.name}")
    culprit = _git_bisect(
        scratch_repository.bisecting(on.scratch, folder / "repository.git"), first, last, [this.name, check, engine]
    )
    said = git.run(where, "show", "--no-patch", "--format=%H%n%an%n%s", culprit).decode(errors="replace").splitlines()
    if json_output:
        print_json({"run": this.name, "check": check, "commit": said[0], "author": said[1], "subject": said[2]})
        return
    typer.echo(
        plain(f'{said[0][:12]} ("{said[2]}", {said[1]}) is the first at which {check} newly fails in {found[0].id}')
    )
    typer.echo(f"run: {this.folder}")


def bisect_step(
    run: Annotated[str, typer.Argument()], check: Annotated[str, typer.Argument()],
    engine: Annotated[str, typer.Argument()] = "",
) -> None:  # fmt: skip
    """Say to `git bisect run` whether the commit at BISECT_HEAD is good (0), bad (1) or cannot be tested (125)."""
    try:
        status = _step(run, check, engine)
    except Exception as error:  # noqa: BLE001 - git takes any other end for a bad commit
        typer.echo(f"perf-matrix: {plain(str(error))}", err=True)
        status = STOP
    raise typer.Exit(status)


def _step(run: str, check: str, engine: str) -> int:
    from matrix.config import load
    from matrix.runs import store
    from matrix.series import apply
    from matrix.trees import git

    this = store.find(run)
    base = load.load([Path(folder) for folder in this.settings().configs]).trees[judge.BASE]
    location, _, commit = base.source.removeprefix("git:").rpartition("@")
    on = apply.standing(base, Path(location), commit, _sha256(this))
    revision = git.commit(Path(), "BISECT_HEAD")
    return _try(this, on, revision, check, engine, Console(stderr=True, highlight=False, soft_wrap=True))


def _sha256(this: Run) -> str:
    result = this.result(this.settings().cells[0])
    if result is None or result.tree is None:
        raise InfrastructureError("the first cell has no result", "Begin anew.")
    return result.tree.sha256


def _try(this: Run, on: PatchBase, revision: str, check: str, engine: str, console: Console) -> int:
    """Run the cell on a commit, unless it was, and return what that says to `git bisect run`."""
    from matrix.model.result import Verdict
    from matrix.series import apply
    from matrix.verdicts import regressions

    place = this.settings().cells[0].place
    name = judge.BASE if revision == on.commit else f"c{revision[:12]}"
    cell_id = place.on(name)
    if this.result(cell_id) is None:
        apply.configure(Path(this.settings().configs[-1]), [on.made(name, revision, revision)])
        this.extend([cell_id], [name])
        twice(this, 1, engine, console)
    base, head = this.result(place.on(judge.BASE)), this.result(cell_id)
    held = regressions.compare_cell(place, name, base, head)
    if held.undecided or head is None:
        return STOP
    mine = next((one for one in head.checks if one.check == check), None)
    if any(said.check == check for said in held.broken):
        return BAD
    return SKIP if mine is None or mine.verdict == Verdict.SKIP else GOOD


def _git_bisect(repository: Path, good: str, bad: str, words: list[str]) -> str:
    """Return the first bad commit.

    Raises:
        UsageError: git could not name one, as too much could not be built, or the revisions are not as they must be.

    """
    from matrix.trees import git

    git.run(repository, "update-ref", "HEAD", bad)
    git.run(repository, "bisect", "start", "--no-checkout", bad, good)
    step = [sys.executable, "-m", "matrix", "bisect-step", *words]
    argv = git.command(repository, "bisect", "run", *step)
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, env=git.environment())
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        raise UsageError("git bisect did not come to an end", f"It said:\n{said[-2000:]}")
    return git.commit(repository, "refs/bisect/bad")
