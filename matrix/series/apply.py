"""Applies a series to its base, and makes a tree of what each patch leads to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.config import selection
from matrix.errors import UsageError
from matrix.model.tree import Delta, Tree
from matrix.scenario import perf
from matrix.trees import git, scratch_repository, volumes
from matrix.trees.sources import git as git_source
from matrix.trees.tree_cache import TreeCache
from matrix.verdicts import kept_build, series
from matrix.verdicts.series import PatchTree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.trees.patches import Patch
    from matrix.trees.scratch_repository import Refused, Scratch


@dataclass(frozen=True)
class PatchBase:
    """A base that patches are applied to: a tree, and the commit that it is in a scratch repository."""

    word: str
    tree: Tree
    scratch: Scratch
    commit: str
    sha256: str

    def made(self, name: str, summary: str, commit: str) -> Tree:
        """Return the tree that a commit on top of the base is."""
        delta = Delta(repository=str(self.scratch.folder), base=self.commit, commit=commit, sha256=self.sha256)
        return self.tree.model_copy(update={"name": name, "summary": summary, "delta": delta})

    def listed(self, commit: str) -> tuple[str, ...]:
        """Return what a commit's MANIFEST lists, or nothing where it has none."""
        done = git.attempt(self.scratch.folder, "show", f"{commit}:{perf.MANIFEST}")
        return series.manifest_globs(done.stdout.decode(errors="replace")) if done.returncode == 0 else ()


def base(word: str, repository: Path | None, loaded: Config, engine: Engine, say: Callable[[str], None]) -> PatchBase:
    """Return the base that a word means: a tree, or a revision of `repository` or else of the current folder's.

    Raises:
        UsageError: there is none.
        InfrastructureError: it could not be got.

    """
    tree = _tree(word, repository, loaded)
    if tree.edits:
        raise UsageError(f"{word} is edited", "Patches are applied to a tree as it is.")
    return below(tree.model_copy(update={"summary": word}), engine, say)


def below(tree: Tree, engine: Engine, say: Callable[[str], None]) -> PatchBase:
    """Return a tree as the base of patches.

    Raises:
        UsageError: it does not exist.
        InfrastructureError: it could not be got.

    """
    if tree.source.startswith("git:"):
        location, revision = git_source.location(tree.source.removeprefix("git:"))
        found, commit = scratch_repository.of_repository(location.resolve(), revision)
        tree = tree.model_copy(update={"source": f"git:{location.resolve()}@{commit}"})
        digest = volumes.prepare(tree, engine, say).identity.sha256
    else:
        digest = volumes.prepare(tree, engine, say).identity.sha256
        found, commit = scratch_repository.of_archive(TreeCache.of_this_machine().archive(digest))
    return PatchBase(tree.summary, tree.model_copy(update={"name": series.BASE}), found, commit, digest)


def standing(tree: Tree, repository: Path, commit: str, sha256: str) -> PatchBase:
    """Return a base that was got before: `tree` is at a commit of `repository`, and this is its content hash."""
    return PatchBase(tree.summary, tree, scratch_repository.of_repository(repository, commit)[0], commit, sha256)


def _tree(word: str, repository: Path | None, loaded: Config) -> Tree:
    known = word in loaded.trees or word.partition(":")[0] in selection.SCHEMES
    if known and (repository is None or not git.find(repository, word)):
        return selection.tree(loaded, word)
    git.commit(repository or Path(), word)
    return selection.tree(loaded, f"git:{(repository or Path()).resolve()}@{word}")


def commits(
    on: PatchBase, chosen: Sequence[Patch], others: Sequence[PatchBase] = (), absent: Sequence[int] = ()
) -> tuple[str, ...]:
    """Return the commits that patches make, one after the other.

    Raises:
        UsageError: one does not apply: which, why, and which of the `others` they would apply to; or that it may need
            one of those that are `absent`.

    """
    made, refused = on.scratch.apply(on.commit, chosen)
    if refused is None:
        return made
    before = [str(number) for number in absent if number < refused.patch.number]
    missed = f"It may need what is not among the patches: {', '.join(before)}. " if before else ""
    raise UsageError(_says(on, refused), missed + _hint(chosen, others))


def _says(on: PatchBase, refused: Refused) -> str:
    reasons = "".join(f"\n    {reason}" for reason in refused.reasons)
    return f"patch {refused.patch.number} does not apply to {on.word}: {refused.patch.subject}{reasons}"


def _hint(chosen: Sequence[Patch], others: Sequence[PatchBase]) -> str:
    for other in others:
        if other.scratch.apply(other.commit, chosen)[1] is None:
            return f"All of it applies to {other.word}: --base {other.word}"
    tried = f" None of {', '.join(other.word for other in others)} takes it, either." if others else ""
    return f"Name the base that it was made for with --base, which may be given several times.{tried}"


def steps(
    on: PatchBase, chosen: Sequence[Patch], made: Sequence[str], *, alone: bool, from_scratch: bool
) -> tuple[tuple[PatchTree, ...], tuple[str, ...]]:
    """Return a step for each patch, and the commit that each leads to: those `made`, or where it is `alone` its own.

    Unless all are built `from_scratch`, a step says which tree's build it can go on with.
    """
    before = (on.commit, *made[:-1])
    digits = max(2, *(len(str(patch.number)) for patch in chosen))  # names of trees sort as the patches come
    found = tuple(
        PatchTree(
            number=patch.number,
            subject=patch.subject,
            tree=f"p{patch.number:0{digits}}",
            idle=_is_idle(on, earlier, later),
        )
        for patch, earlier, later in zip(chosen, before, made, strict=True)
    )
    after = tuple(made)
    if alone:
        found, after = _alone(on, chosen, found)
        before = (on.commit,) * len(after)
    if from_scratch:
        return found, after
    alike = {
        step.number for step, earlier, later in zip(found, before, after, strict=True) if _may_go_on(on, earlier, later)
    }
    return kept_build.going_on(found, alike), after


def _may_go_on(on: PatchBase, before: str, after: str) -> bool:
    changed = on.scratch.changed(before, after)
    return kept_build.may_go_on(changed) and all(
        kept_build.reads_the_same(*(on.scratch.read(commit, path) for commit in (before, after))) for path in changed
    )


def _is_idle(on: PatchBase, before: str, after: str) -> bool:
    changed = on.scratch.changed(before, after)
    return all(series.is_idle(changed, on.listed(commit)) for commit in (before, after))


def _alone(
    on: PatchBase, chosen: Sequence[Patch], found: Sequence[PatchTree]
) -> tuple[tuple[PatchTree, ...], tuple[str, ...]]:
    """Return each patch's step by itself, or with the few that it does not apply without, and the commit of it."""
    by_number = {patch.number: patch for patch in chosen}

    def made(numbers: Sequence[int]) -> tuple[str, ...]:
        commits, refused = on.scratch.apply(on.commit, [by_number[number] for number in numbers])
        return () if refused else commits

    alone: list[PatchTree] = []
    ends: list[str] = []
    for step in found:
        one = made([step.number])
        needs = () if one else series.needed_patches(list(by_number), step.number, lambda numbers: bool(made(numbers)))
        ends.append((one or made([*needs, step.number]))[-1])
        alone.append(step.model_copy(update={"tree": f"a{step.tree[1:]}", "alone": True, "needs": needs}))
    return tuple(alone), tuple(ends)


def configure(folder: Path, wanted: Sequence[Tree]) -> None:
    """Write trees as configuration, so that a run knows them by their names."""
    for tree in wanted:
        facts = tree.model_dump(mode="json", exclude={"edits"}, exclude_none=True)
        files.write(folder / "trees" / f"{tree.name}.yaml", json.dumps(facts, indent=1))
