from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.errors import UsageError
from matrix.series import apply
from matrix.trees import git, patches
from matrix.verdicts.series import PatchTree
from tests.unit.series.conftest import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.series.apply import AppliedPatch, PatchBase
    from matrix.trees.patches import Patch
    from tests.unit.series.conftest import FakeAccess, Repository


def based(repository: Repository, access: FakeAccess, word: str = "") -> PatchBase:
    return apply.base(
        word or repository.commits[0], repository.folder, load.load(), access.connect(), access.say
    )  # fmt: skip


def read(repository: Repository) -> list[Patch]:
    return list(patches.read(repository.series, repository.folder))


def trees(found: Sequence[AppliedPatch]) -> list[PatchTree]:
    return [one.tree for one in found]


def test_a_base_is_a_revision_of_the_repository_or_else_a_tree(repository: Repository) -> None:
    loaded, folder = load.load(), repository.folder
    assert apply.tree_of_base("7.3", folder, loaded) == apply.tree_of_base("7.3", None, loaded) == loaded.trees["7.3"]
    git.run(folder, "tag", "7.3")
    assert apply.tree_of_base("7.3", folder, loaded).source == f"git:{folder}@7.3"


def test_a_base_that_is_neither_is_refused(repository: Repository) -> None:
    with pytest.raises(UsageError, match="there is no revision"):
        apply.tree_of_base("7.9", repository.folder, load.load())


def test_an_edited_tree_is_no_base(repository: Repository, access: FakeAccess) -> None:
    with pytest.raises(UsageError, match="has edits"):
        based(repository, access, f"git:{repository.folder}@HEAD+unrefactored")


def test_a_base_is_a_tree_at_a_commit_whatever_the_revision_is_called(
    repository: Repository, access: FakeAccess
) -> None:
    on = based(repository, access, "HEAD~4")
    assert (on.word, on.commit, on.tree.name) == ("HEAD~4", repository.commits[0], "base")
    assert on.tree.source == f"git:{repository.folder}@{repository.commits[0]}"
    again = apply.got_before(on.tree, on.sha256)
    assert (again.commit, again.scratch, again.sha256) == (on.commit, on.scratch, on.sha256)


def test_each_patch_leads_to_a_tree_and_what_is_not_built_is_idle(repository: Repository, access: FakeAccess) -> None:
    on, chosen = based(repository, access), read(repository)
    made = apply.commits(on, chosen)
    found = apply.in_order(on, chosen, made)
    assert trees(found) == [
        PatchTree(number=number, subject=subject, tree=f"p0{number}", idle=number == 2)
        for number, subject in enumerate(SUBJECTS, 1)
    ]
    assert [one.after for one in found] == list(made)
    assert [one.before for one in found] == [on.commit, *made[:-1]]
    tree = on.made("p01", SUBJECTS[0], made[0])
    assert tree.delta is not None
    assert (tree.delta.base, tree.delta.commit, tree.delta.sha256) == (on.commit, made[0], on.sha256)


def test_trees_of_a_long_series_sort_as_the_patches_come(repository: Repository, access: FakeAccess) -> None:
    on, [one, *_] = based(repository, access), read(repository)
    far = patches.Patch(**{**vars(one), "number": 100})
    assert [tree.tree for tree in trees(apply.in_order(on, [far], apply.commits(on, [far])))] == ["p100"]


def test_a_patch_that_changes_c_sources_alone_goes_on_with_the_build_before(
    repository: Repository, access: FakeAccess
) -> None:
    on, chosen = based(repository, access), read(repository)
    found = apply.with_kept_builds(on, apply.in_order(on, chosen, apply.commits(on, chosen)))
    assert [tree.may_go_on_with for tree in trees(found)] == ["base", "", "", ""]  # the last one is the series' end


def test_a_patch_is_looked_at_by_itself_or_with_those_that_it_needs(repository: Repository, access: FakeAccess) -> None:
    on, chosen = based(repository, access), read(repository)
    whole = apply.in_order(on, chosen, apply.commits(on, chosen))
    found = apply.by_themselves(on, chosen, whole)
    assert [(tree.tree, tree.alone, tree.needs) for tree in trees(found)] == [
        ("a01", True, ()), ("a02", True, ()), ("a03", True, ()), ("a04", True, (1,)),
    ]  # fmt: skip
    assert {one.before for one in found} == {on.commit}
    assert [one.after for one in found[:1]] == [one.after for one in whole[:1]]
    content = git.run(on.scratch.folder, "show", f"{found[3].after}:tools/perf/util/evsel.c")
    assert content == b"int a;\nint b;\nint c;\n"


def test_a_patch_that_does_not_apply_is_told_with_what_it_may_need_and_a_base_that_takes_it(
    repository: Repository, access: FakeAccess
) -> None:
    on, [_, *rest] = based(repository, access), read(repository)
    other = based(repository, access, repository.commits[1])
    with pytest.raises(UsageError) as told:
        apply.commits(on, rest, [other], absent=[1, 9])
    assert f"patch 4 does not apply to {on.word}: {SUBJECTS[3]}\n    tools/perf/util/evsel.c" in str(told.value)
    assert "The patch may need one that is not among the patches: 1. " in str(told.value)
    assert f"All of it applies to {other.word}: --base {other.word}" in str(told.value)
    with pytest.raises(UsageError, match=f"None of {on.word} takes it, either"):
        apply.commits(on, rest, [on])
    with pytest.raises(UsageError, match=r"may be given several times\.$"):
        apply.commits(on, rest)


def test_trees_that_are_configured_are_read_again_as_they_were(repository: Repository, access: FakeAccess) -> None:
    on = based(repository, access)
    made = on.made("p01", "a: subject #1", repository.commits[1])
    apply.configure(repository.folder / "configs", [on.tree, made])
    found = load.load([repository.folder / "configs"]).trees
    assert (found["base"], found["p01"]) == (on.tree, made)
