"""The application of patches to a base: each patch leads to a tree, which is a commit in a scratch repository."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.config import tree_words
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
    """A base that patches are applied to: a tree, and the commit with its content in a scratch repository.

    `word` is the user's word for the base, `sha256` the tree's content hash.
    """

    word: str
    tree: Tree
    scratch: Scratch
    commit: str
    sha256: str

    def made(self, name: str, summary: str, commit: str) -> Tree:
        """Return the tree `name` with the content of a commit on top of the base."""
        delta = Delta(repository=str(self.scratch.folder), base=self.commit, commit=commit, sha256=self.sha256)
        return self.tree.model_copy(update={"name": name, "summary": summary, "delta": delta})

    def listed(self, commit: str) -> tuple[str, ...]:
        """Return the globs that a commit's MANIFEST lists, or none where it has no MANIFEST."""
        done = git.attempt(self.scratch.folder, "show", f"{commit}:{perf.MANIFEST}")
        return series.manifest_globs(done.stdout.decode(errors="replace")) if done.returncode == 0 else ()

    def applies(self, chosen: Sequence[Patch]) -> bool:
        """Return whether patches apply to the base, one after the other."""
        return self.scratch.apply(self.commit, chosen)[1] is None

    def changes_nothing_built(self, before: str, after: str) -> bool:
        """Return whether two commits differ only in files that perf is not built from, by the MANIFEST of both."""
        changed = self.scratch.changed(before, after)
        return all(series.is_idle(changed, self.listed(commit)) for commit in (before, after))

    def may_continue_build(self, before: str, after: str) -> bool:
        """Return whether a build of `before` can be continued to one of `after`: the two differ in C sources alone."""
        changed = self.scratch.changed(before, after)
        return kept_build.may_continue(changed) and all(self._reads_the_same(path, before, after) for path in changed)

    def _reads_the_same(self, path: str, before: str, after: str) -> bool:
        return kept_build.reads_the_same(self.scratch.read(before, path), self.scratch.read(after, path))


@dataclass(frozen=True)
class AppliedPatch:
    """A patch as it was applied: its number, subject and tree, and the commits before and after it."""

    tree: PatchTree
    before: str
    after: str


def base(word: str, repository: Path | None, config: Config, engine: Engine, say: Callable[[str], None]) -> PatchBase:
    """Return the base that a word means: a tree, or a revision of `repository` (by default the current folder's).

    Raises:
        UsageError: the tree or the revision does not exist, or the tree has edits.
        InfrastructureError: the tree could not be fetched.

    """
    tree = tree_of_base(word, repository, config)
    if tree.edits:
        raise UsageError(f"{word} has edits", "Patches are applied to a tree without edits: leave out its +NAME.")
    return below(tree.model_copy(update={"summary": word}), word, engine, say)


def below(tree: Tree, word: str, engine: Engine, say: Callable[[str], None]) -> PatchBase:
    """Return a tree, which was asked for by `word`, as the base of patches.

    Raises:
        UsageError: the tree does not exist.
        InfrastructureError: the tree could not be fetched.

    """
    # A git source lends its objects, and its revision is fixed: a branch that moves does not change the base. Any other
    # source is imported from its archive in the cache.
    if tree.source.startswith("git:"):
        location, revision = git_source.location(tree.source.removeprefix("git:"))
        scratch, commit = scratch_repository.of_repository(location.resolve(), revision)
        tree = tree.model_copy(update={"source": f"git:{location.resolve()}@{commit}"})
        sha256 = volumes.prepare(tree, engine, say).identity.sha256
    else:
        sha256 = volumes.prepare(tree, engine, say).identity.sha256
        scratch, commit = scratch_repository.of_archive(TreeCache.of_this_machine().whole_archive(sha256))
    return PatchBase(word, tree.model_copy(update={"name": series.BASE}), scratch, commit, sha256)


def got_before(tree: Tree, sha256: str) -> PatchBase:
    """Return the base of a git source that `below` returned in an earlier process, with the content hash `sha256`."""
    location, commit = git_source.location(tree.source.removeprefix("git:"))  # `below` has put the commit there
    scratch, _ = scratch_repository.of_repository(location, commit)
    return PatchBase(tree.summary, tree, scratch, commit, sha256)


def tree_of_base(word: str, repository: Path | None, config: Config) -> Tree:
    """Return the tree that a base's word means; a revision of `repository` goes before a tree of the same name.

    Raises:
        UsageError: the word is neither a tree nor a revision.

    """
    if _is_tree(word, config) and not _is_revision(word, repository):
        return tree_words.tree(config, word)
    where = repository or Path()
    git.commit(where, word)
    return tree_words.tree(config, f"git:{where.resolve()}@{word}")


def _is_tree(word: str, config: Config) -> bool:
    return word in config.trees or word.partition(":")[0] in tree_words.SCHEMES


def _is_revision(word: str, repository: Path | None) -> bool:
    return repository is not None and bool(git.find(repository, word))


def commits(
    on: PatchBase, chosen: Sequence[Patch], others: Sequence[PatchBase] = (), absent: Sequence[int] = ()
) -> tuple[str, ...]:
    """Return the commits of patches applied one after the other.

    `absent` are the numbers of the patches that were left out or not given, `others` further bases of the user's.

    Raises:
        UsageError: a patch does not apply; the message has the patch and the reasons, the hint the absent patches that
            it may need and the other base that the series applies to.

    """
    made, refused = on.scratch.apply(on.commit, chosen)
    if refused is None:
        return made
    raise UsageError(refusal(on, refused), _may_need(refused, absent) + _hint(chosen, others))


def refusal(on: PatchBase, refused: Refused) -> str:
    """Return the message that a patch does not apply to a base, with git's reason for each file."""
    reasons = "".join(f"\n    {reason}" for reason in refused.reasons)
    return f"patch {refused.patch.number} does not apply to {on.word}: {refused.patch.subject}{reasons}"


def _may_need(refused: Refused, absent: Sequence[int]) -> str:
    before = [str(number) for number in absent if number < refused.patch.number]
    return f"The patch may need one that is not among the patches: {', '.join(before)}. " if before else ""


def _hint(chosen: Sequence[Patch], others: Sequence[PatchBase]) -> str:
    """Return a hint for a series that does not apply: the base among `others` that takes it, if one does."""
    taking = [other.word for other in others if other.applies(chosen)]
    if taking:
        return f"All of it applies to {taking[0]}: --base {taking[0]}"
    return f"Name the base that it was made for with --base, which may be given several times.{_tried(others)}"


def _tried(others: Sequence[PatchBase]) -> str:
    names = ", ".join(other.word for other in others)
    return f" None of {names} takes it, either." if others else ""


def in_order(on: PatchBase, chosen: Sequence[Patch], made: Sequence[str]) -> tuple[AppliedPatch, ...]:
    """Return each patch as applied after all before it; `made` are the commits after each of them."""
    digits = _digits(chosen)
    before = (on.commit, *made[:-1])  # the commit before each patch is the one after the patch before it
    return tuple(
        AppliedPatch(
            PatchTree(
                number=patch.number,
                subject=patch.subject,
                tree=f"p{patch.number:0{digits}}",
                idle=on.changes_nothing_built(earlier, later),
            ),
            earlier,
            later,
        )
        for patch, earlier, later in zip(chosen, before, made, strict=True)
    )


def _digits(chosen: Sequence[Patch]) -> int:
    """Return the number of digits of a patch's number in its tree's name, so that names sort in the series' order."""
    return max(2, *(len(str(patch.number)) for patch in chosen))


def by_themselves(on: PatchBase, chosen: Sequence[Patch], found: Sequence[AppliedPatch]) -> tuple[AppliedPatch, ...]:
    """Return each patch as applied to the base by itself, or with the fewest other patches without which it fails."""
    digits = _digits(chosen)
    by_number = {patch.number: patch for patch in chosen}

    def applies(numbers: Sequence[int]) -> bool:
        return on.applies([by_number[number] for number in numbers])

    alone: list[AppliedPatch] = []
    for applied in found:
        number = applied.tree.number
        needs = () if applies([number]) else series.needed_patches(list(by_number), number, applies)
        made, _ = on.scratch.apply(on.commit, [by_number[one] for one in (*needs, number)])
        tree = applied.tree.model_copy(update={"tree": f"a{number:0{digits}}", "alone": True, "needs": needs})
        alone.append(AppliedPatch(tree, on.commit, made[-1]))
    return tuple(alone)


def with_kept_builds(on: PatchBase, found: Sequence[AppliedPatch]) -> tuple[AppliedPatch, ...]:
    """Return the patches, each with the tree whose kept build its own build may continue from, if there is one."""
    continued = {one.tree.number for one in found if on.may_continue_build(one.before, one.after)}
    trees = kept_build.with_predecessors([one.tree for one in found], continued)
    return tuple(replace(one, tree=tree) for one, tree in zip(found, trees, strict=True))


def configure(folder: Path, wanted: Sequence[Tree]) -> None:
    """Write trees as files of configuration, so that each process of a run finds them by their names."""
    for tree in wanted:
        facts = tree.model_dump(mode="json", exclude={"edits"}, exclude_none=True)
        # JSON is YAML, and its strings are all quoted: a commit of digits alone stays a string.
        files.write(folder / "trees" / f"{tree.name}.yaml", json.dumps(facts, indent=1))
