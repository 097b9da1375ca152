"""The search for the first commit at which a check newly fails, by `git bisect run` in a repository of our own.

git runs the hidden command `bisect-step` at each commit, which runs the cell on it and answers by its exit status.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.checks import registry
from matrix.config import load, selection, tree_words
from matrix.errors import InfrastructureError, UsageError, did_you_mean
from matrix.model.result import Verdict
from matrix.runs import completion, interrupts, locks, schedule, store
from matrix.runs.run_kind import BisectRun
from matrix.series import apply
from matrix.trees import git, scratch_repository
from matrix.verdicts import regressions
from matrix.verdicts.series import BASE

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import Place
    from matrix.model.result import CellResult
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.series.apply import PatchBase


SAID_BYTES = 2000
"""The end of git's output that an error quotes; the output has what each step prints."""


class BisectStatus(IntEnum):
    """The exit statuses by which a command answers `git bisect run` (git-bisect(1)); at 128 and above git aborts."""

    GOOD = 0
    BAD = 1
    SKIP = 125
    STOP = 128


@dataclass(frozen=True)
class BisectRequest:
    """A request for a bisection between two revisions of a repository, by a check in the cell that a glob selects."""

    good: str
    bad: str
    cell: str
    check: str
    repository: Path
    configs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Bisection:
    """A bisection: its run, the base (the good commit, with which the others are compared), and the check."""

    run: Run
    base: PatchBase
    check: str

    @property
    def place(self) -> Place:
        """The place of all cells of the bisection."""
        return self.run.settings().cells[0].place


@dataclass(frozen=True)
class FirstBadCommit:
    """The first commit at which the check newly fails in a place."""

    run: Run
    place: Place
    commit: str
    author: str
    subject: str


def first_bad_commit(
    request: BisectRequest, config: Config, number: int, jobs: int, access: EngineAccess
) -> FirstBadCommit:
    """Run a bisection and return the commit that it finds.

    `number` cells run at once, make with `jobs` jobs in each, 0 for the default numbers.

    Raises:
        UsageError: the check, the cell or a revision does not exist, the good revision fails or the bad one does not,
            or git cannot name one commit.
        InfrastructureError: no engine answers, or the cell could not be run on a commit.

    """
    _refuse_unknown_check(request.check)
    good, bad = _ends(request)
    bisection = _begin(request, good, config, jobs, access)
    with locks.doing(bisection.run):
        access.say(f"running the good commit, {good[:12]}")
        completion.complete(bisection.run, number, access)
        _refuse_wrong_end(bisection, good, BisectStatus.GOOD, access)

        access.say(f"running the bad commit, {bad[:12]}")
        _refuse_wrong_end(bisection, bad, BisectStatus.BAD, access)

        access.say("searching the commits between, by git bisect")
        commit = _git_bisect(bisection, bad, access)
    shown = git.run(request.repository, "show", "--no-patch", "--format=%H%n%an%n%s", commit)
    name, author, subject = shown.decode(errors="replace").removesuffix("\n").split("\n", 2)
    return FirstBadCommit(bisection.run, bisection.place, name, author, subject)


def _refuse_unknown_check(check: str) -> None:
    known = registry()
    if check not in known:
        raise UsageError(f"no check {check!r}{did_you_mean(check, known)}", f"There are: {', '.join(known)}.")


def _ends(request: BisectRequest) -> tuple[str, str]:
    """Return the commits of the good and of the bad revision.

    Raises:
        UsageError: a revision does not exist, or the good one is no ancestor of the bad one.

    """
    good, bad = (git.commit(request.repository, revision) for revision in (request.good, request.bad))
    is_ancestor = git.attempt(request.repository, "merge-base", "--is-ancestor", good, bad).returncode == 0
    if good == bad or not is_ancestor:
        raise UsageError(
            f"{request.bad} does not come after {request.good}",
            "--good names an ancestor of --bad. Are they swapped?",
        )
    return good, bad


def _begin(request: BisectRequest, good: str, config: Config, jobs: int, access: EngineAccess) -> Bisection:
    """Begin the run of a bisection, with its base as a tree of the run's own configuration."""
    with interrupts.interruptible():
        access.say(f"preparing the base: {request.good}")
        base = apply.base(good, request.repository, config, access.connect(), access.say)
    cell = _cell(request.cell, base, config)
    folders = [str(folder.resolve()) for folder in request.configs]
    kind = BisectRun(check=request.check)
    run = store.begin([cell], [BASE], folders, schedule.jobs(jobs, 1), base=BASE, kind=kind)
    own_folder = run.folder / "configs"
    apply.configure(own_folder, [base.tree])
    run.save_settings(run.settings().model_copy(update={"configs": (*folders, str(own_folder))}))
    return Bisection(run, base, request.check)


def _cell(glob: str, base: PatchBase, config: Config) -> Cell:
    found = selection.select(selection.every(config, [base.tree]), [glob.partition("@")[0]])
    if len(found) > 1:
        raise UsageError(f"{glob!r} selects {len(found)} cells", f"Name one, as {found[0].place}.")
    return found[0]


def _refuse_wrong_end(bisection: Bisection, commit: str, wanted: BisectStatus, access: EngineAccess) -> None:
    """Run the cell on one end of a bisection, and refuse the search where the end has not the answer `wanted`."""
    # git believes both ends without a run, and would name a commit even where the check fails everywhere or nowhere.
    hint = f"perf-matrix report {bisection.run.name}"
    found = status_at(bisection, commit, access)
    if found == BisectStatus.STOP:
        raise InfrastructureError(f"{commit[:12]} could not be run", hint)
    if found != wanted:
        fault = "does not newly fail" if wanted == BisectStatus.BAD else "was not examined"
        raise UsageError(f"{bisection.check} {fault} at {commit[:12]} in {bisection.place}", hint)


def resume(run: Run) -> Bisection:
    """Return the bisection of a run, in a process that `git bisect run` started for one commit.

    Raises:
        InfrastructureError: the run is no bisection's, or has no result of the good commit.

    """
    settings = run.settings()
    sha256 = _content_of(run.result(settings.cells[0]))
    if not isinstance(settings.kind, BisectRun) or not sha256:
        raise InfrastructureError(f"run {run.name} has no bisection to continue", "Begin a new bisection.")
    config = load.load([Path(folder) for folder in settings.configs])
    return Bisection(run, apply.got_before(tree_words.tree(config, BASE), sha256), settings.kind.check)


def _content_of(result: CellResult | None) -> str:
    """Return the content hash of a result's tree, or nothing without a result or a tree."""
    return result.tree.sha256 if result and result.tree else ""


def status_at(bisection: Bisection, commit: str, access: EngineAccess) -> BisectStatus:
    """Run the cell on a commit, unless it has a result, and return the answer to `git bisect run`."""
    run, base = bisection.run, bisection.base
    name = BASE if commit == base.commit else f"c{commit[:12]}"
    cell_id = bisection.place.on(name)
    if run.result(cell_id) is None:
        apply.configure(Path(run.settings().configs[-1]), [base.made(name, commit, commit)])
        run.extend([cell_id], [name])
        completion.complete(run, 1, access)
    return status(bisection.check, run.result(bisection.place.on(BASE)), run.result(cell_id), bisection.place, name)


def status(check: str, base: CellResult | None, head: CellResult | None, place: Place, tree: str) -> BisectStatus:
    """Return the answer to `git bisect run` on the tree `tree`, by the results on the good commit and on that tree.

    A commit is bad where the check newly fails beside the good commit, and skipped where the check was not examined.
    """
    compared = regressions.compare_cell(place, tree, base, head)
    if compared.undecided or head is None:
        return BisectStatus.STOP
    if compared.broken_by(check):
        return BisectStatus.BAD
    return BisectStatus.GOOD if _was_examined(check, head) else BisectStatus.SKIP


def _was_examined(check: str, result: CellResult) -> bool:
    verdicts = {one.check: one.verdict for one in result.checks}
    return verdicts.get(check, Verdict.SKIP) != Verdict.SKIP


def _git_bisect(bisection: Bisection, bad: str, access: EngineAccess) -> str:
    """Return the first bad commit after the good one, by `git bisect run` of the hidden command bisect-step.

    Raises:
        UsageError: git could not name one commit: the check was not examined at too many, or a step stopped git.

    """
    folder = bisection.run.folder / "configs" / "repository.git"
    repository = scratch_repository.bisecting(bisection.base.scratch, folder)
    # `git bisect start` needs a HEAD. A bare repository has no work tree, so git names each commit by the reference
    # BISECT_HEAD (--no-checkout).
    git.run(repository, "update-ref", "HEAD", bad)
    git.run(repository, "bisect", "start", "--no-checkout", bad, bisection.base.commit)
    step = [sys.executable, "-m", "matrix", "bisect-step", bisection.run.name, access.host or ""]
    argv = git.command(repository, "bisect", "run", *step)
    # Each step is a process of its own, a child of git: it inherits the lock of the run, which this process holds.
    lock = locks.inheritance(bisection.run)
    environment = git.environment(lock.environment)
    with tempfile.TemporaryFile() as said:
        with interrupts.interruptible():
            # Standard error goes to the terminal, where the steps report their progress.
            done = subprocess.run(argv, check=False, stdout=said, env=environment, pass_fds=lock.descriptors)
        if done.returncode:
            end = files.end_of(said, SAID_BYTES).strip()
            raise UsageError("git bisect named no commit", f"The end of its output:\n{end}")
    return git.commit(repository, "refs/bisect/bad")


def bisected_commit() -> str:
    """Return the commit that `git bisect run` asks for; the current folder is the bisection's repository."""
    return git.commit(Path(), "BISECT_HEAD")
