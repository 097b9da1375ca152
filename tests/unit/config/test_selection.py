from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from matrix.config import command_line, load, selection, tree_words
from matrix.config.load import Config
from matrix.errors import UsageError
from matrix.model.cell import Limits, matches
from matrix.model.edit import Change, Edit
from matrix.model.profile import Profile
from tests.unit.conftest import build, cell, image, tree

LOADED = load.load()
CHANGE = Change(file="Makefile", find="x")


def configured(**profiles: Profile) -> Config:
    full = image("debian-trixie", toolchains={"gcc": {}, "clang": {"LLVM": "1"}}, provides=("features",))
    small = image("debian-trixie-min")
    none = image("diffoscope", toolchains={})
    builds = (build("default", requires=("features",)), build("minimal"))
    trees = (tree("7.3"), tree("7.2"))
    return Config(
        images={one.name: one for one in (full, small, none)},
        builds={one.name: one for one in builds},
        trees={one.name: one for one in trees},
        edits={name: Edit(name=name, summary=name, trees=("7.*",), changes=(CHANGE,)) for name in ("force", "old")},
        claims={},
        profiles=profiles,
        known=(),
    )


def ids(*globs: str, exclude: tuple[str, ...] = (), trees: tuple[str, ...] = ("7.3",)) -> list[str]:
    config = configured()
    every = selection.every(config, [tree_words.tree(config, word) for word in trees])
    return [cell.id for cell in selection.select(every, globs, exclude)]


def test_there_is_a_cell_for_each_image_toolchain_build_and_tree_whose_image_provides_what_it_needs() -> None:
    assert ids("*") == [
        "debian-trixie-min/gcc/minimal@7.3",
        "debian-trixie/clang/default@7.3",
        "debian-trixie/clang/minimal@7.3",
        "debian-trixie/gcc/default@7.3",
        "debian-trixie/gcc/minimal@7.3",
    ]


def test_cells_are_sorted_by_id_whatever_the_order_of_the_trees() -> None:
    assert ids("*", trees=("7.3", "7.2")) == ids("*", trees=("7.2", "7.3")) == sorted(ids("*", trees=("7.2", "7.3")))


def test_a_tree_asked_for_twice_gives_each_cell_once() -> None:
    found = ids("*", trees=("7.3", "7.3"))
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("glob", "selected"),
    [
        ("debian-trixie/gcc/default@7.3", True),
        ("debian-trixie/gcc/default", True),
        ("*/gcc/*", True),
        ("debian-trixie", True),
        ("debian-*", True),
        ("debian-trixie@7.3", True),
        ("*@7.3", True),
        ("*", True),
        ("debian-trixie@7.2", False),
        ("*@7.2", False),
        ("default", False),
        ("gcc/default", False),
        ("debian-trixie/gcc/def", False),
        ("DEBIAN-trixie", False),
    ],
)
def test_a_glob_selects_by_id(glob: str, *, selected: bool) -> None:
    assert matches("debian-trixie/gcc/default@7.3", glob) is selected


def test_several_globs_select_what_any_of_them_does_in_the_order_of_the_ids() -> None:
    assert ids("debian-trixie/gcc/*", "*/clang/default") == [
        "debian-trixie/clang/default@7.3",
        "debian-trixie/gcc/default@7.3",
        "debian-trixie/gcc/minimal@7.3",
    ]


def test_what_is_excluded_is_not_selected() -> None:
    assert ids("debian-trixie", exclude=("*/clang/*", "*/*/minimal")) == ["debian-trixie/gcc/default@7.3"]


def test_a_glob_that_selects_nothing_is_refused_with_what_is_near() -> None:
    with pytest.raises(UsageError, match="'debian-trixie/gcc/defualt' selects no cell; did you mean"):
        ids("*", "debian-trixie/gcc/defualt")


def test_a_glob_that_selects_nothing_of_many_cells_is_refused_without_naming_them() -> None:
    config = configured()
    trees = [tree(f"{number}.0") for number in range(10)]
    with pytest.raises(UsageError, match="'nothing' selects no cell\n"):
        selection.select(selection.every(config, trees), ["nothing"])


def test_a_tree_is_found_by_its_name() -> None:
    config = configured()
    assert tree_words.tree(config, "7.2") is config.trees["7.2"]


@pytest.mark.parametrize("word", ["git:/srv/linux@v7.1", "dir:.", "tar:linux.tar.xz", "deb:linux-source@sid"])
def test_a_tree_by_its_source_is_named_after_it(word: str) -> None:
    one, two = tree_words.tree(configured(), word), tree_words.tree(configured(), word)
    other = tree_words.tree(configured(), f"{word}x")
    assert (one.source, one.asked) == (word, word)
    assert one.name == two.name != other.name
    assert one.name.startswith(word.partition(":")[0] + "-")


@pytest.mark.parametrize("word", ["7.4", "svn:trunk", "git:", "linux"])
def test_an_unknown_tree_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=f"no tree '{word}'"):
        tree_words.tree(configured(), word)


def test_an_unknown_tree_comes_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match=r"did you mean '7\.3'"):
        tree_words.tree(configured(), "7.33")


@pytest.mark.parametrize("word", ["gti:/srv/linux@v7.1", "got:x"])
def test_an_unknown_scheme_comes_with_the_one_that_was_meant_and_all_that_there_are(word: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)did you mean 'git'\?.*schemes are deb, dir, git, tar"):
        tree_words.tree(configured(), word)


def profile() -> Profile:
    return Profile(name="p", summary="p", select=("debian-trixie",), exclude=("*/clang/*",), trees=("7.2",))


def test_a_profile_selects_its_cells_on_its_trees() -> None:
    found = selection.of_profile(configured(), profile())
    assert [cell.id for cell in found] == ["debian-trixie/gcc/default@7.2", "debian-trixie/gcc/minimal@7.2"]


def test_trees_and_globs_that_are_asked_for_take_the_place_of_the_profiles_own() -> None:
    found = selection.of_profile(configured(), profile(), ["7.3"], ["*/clang/*"], ["*/*/minimal"])
    assert [cell.id for cell in found] == ["debian-trixie/clang/default@7.3"]


def test_a_selection_that_excludes_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="no cell is left"):
        selection.of_profile(configured(), profile(), exclude=["*"])


def test_a_profile_is_found_by_its_name() -> None:
    config = configured(p=profile())
    assert selection.profile(config, "p").select == ("debian-trixie",)
    with pytest.raises(UsageError, match="no profile 'pp'; did you mean 'p'"):
        selection.profile(config, "pp")


def test_the_command_that_runs_a_cell_again_names_its_tree_and_its_jobs() -> None:
    again = command_line.reproduce(cell(), [], 3, Limits())
    assert again == "perf-matrix run --tree 7.3 --select debian-trixie/gcc/default -j 3 --fresh"


def test_the_command_that_runs_a_cell_again_repeats_folders_and_unusual_limits() -> None:
    again = command_line.reproduce(
        cell(), ["/my own"], 2, Limits(step_s=9, memory_bytes=64 << 20, disk_bytes=1 << 30, pids=50)
    )
    assert again.startswith("perf-matrix run --configs '/my own' --tree 7.3 ")
    assert again.endswith(" --timeout 9 --memory 64 --disk 1024 --pids 50 --fresh")


def test_an_edited_tree_is_named_after_its_edits_and_known_without_them() -> None:
    found = tree_words.tree(configured(), "7.3+force+old")
    assert found.name == "7.3+force+old"
    assert [edit.name for edit in found.edits] == ["force", "old"]
    assert found.asked == "7.3+force+old"
    assert found.unedited == tree_words.tree(configured(), "7.3")
    assert found.unedited.unedited == found.unedited


def test_a_tree_that_is_given_by_its_source_can_be_edited_too() -> None:
    found = tree_words.tree(configured(), "git:/srv/c++@v1+force")
    assert found.source == "git:/srv/c++@v1"
    assert found.name.endswith("+force")
    assert found.asked == "git:/srv/c++@v1+force"
    assert tree_words.tree(configured(), "git:/srv/c++@v1+none").edits == ()


def test_an_edit_that_is_not_there_or_not_for_the_tree_is_an_error() -> None:
    with pytest.raises(UsageError, match="no edit 'forse'; did you mean 'force'"):
        tree_words.tree(configured(), "7.3+forse")
    own = configured()
    own.trees["6.12"] = tree("6.12")
    with pytest.raises(UsageError, match="edit force is not meant for tree"):
        tree_words.tree(own, "6.12+force")


def test_a_glob_that_leaves_out_nothing_is_an_error() -> None:
    own = configured(all=Profile(name="all", summary="s", select=("*",)))
    assert len(selection.of_profile(own, own.profiles["all"], exclude=["debian-trixie/clang/*"])) < len(ids("*"))
    with pytest.raises(UsageError, match="leaves out no cell"):
        selection.of_profile(own, own.profiles["all"], exclude=["debian-trixy/*"])


def test_the_cells_of_a_selection_are_those_of_its_profile_or_of_what_it_names() -> None:
    asked = selection.Selection(profile="smoke")
    smoke = LOADED.profiles["smoke"]
    found = selection.selected(LOADED, asked)
    assert found.cells == selection.of_profile(LOADED, smoke)
    assert (found.trees, found.base) == (smoke.trees, "")
    named = selection.Selection(trees=("7.2",), select=("debian-trixie-min/gcc/minimal",))
    assert [cell.id for cell in selection.selected(LOADED, named).cells] == ["debian-trixie-min/gcc/minimal@7.2"]
    assert (asked.is_empty, named.is_empty) == (True, False)


def test_with_a_base_each_cell_is_there_on_both_trees_and_the_base_is_the_first_tree() -> None:
    asked = selection.Selection(trees=("7.3",), select=("debian-trixie-min/gcc/minimal",), base="7.2")
    found = selection.selected(LOADED, asked)
    assert [cell.tree.name for cell in found.cells] == ["7.2", "7.3"]
    assert (found.trees, found.base) == (("7.2", "7.3"), "7.2")
    assert found.places == {"debian-trixie-min/gcc/minimal"}
    with pytest.raises(UsageError, match=r"--base 7\.3 is the tree itself"):
        selection.selected(LOADED, dataclasses.replace(asked, base="7.3"))


def test_the_folders_of_a_selection_are_kept_as_absolute_paths() -> None:
    assert selection.Selection(configs=(Path("own"),)).folders == (str(Path("own").resolve()),)


@pytest.mark.parametrize(
    ("glob", "trees", "found"),
    [
        ("debian-trixie-min/gcc/minimal", (), "7.3"),
        ("debian-trixie-min/gcc/minimal@7.2", (), "7.2"),
        ("debian-trixie-min/gcc/minimal@7.*", (), "7.3"),
        ("debian-trixie-min/gcc/minimal", ("7.2",), "7.2"),
    ],
)
def test_one_cell_is_on_the_tree_that_is_named_or_on_the_usual_one(
    glob: str, trees: tuple[str, ...], found: str
) -> None:
    assert selection.one_cell(LOADED, glob, trees).id == f"debian-trixie-min/gcc/minimal@{found}"


def test_a_glob_that_selects_several_cells_is_no_one_cell() -> None:
    with pytest.raises(UsageError, match=r"'debian-\*' selects \d+ cells\n  Name one of: "):
        selection.one_cell(LOADED, "debian-*")


def test_a_glob_that_is_no_cell_is_refused_without_an_option_as_it_is_an_argument() -> None:
    with pytest.raises(
        UsageError, match=r"^'debian-trixie-min/gcc/minimol' is no cell; did you mean 'debian-trixie-min/"
    ):
        selection.one_cell(LOADED, "debian-trixie-min/gcc/minimol")


@pytest.mark.parametrize("name", ["6.12", "7.3+unrefactored"])
def test_a_glob_that_names_a_tree_which_was_not_asked_for_is_refused_with_the_option_that_does(name: str) -> None:
    smoke = LOADED.profiles["smoke"]
    with pytest.raises(UsageError) as told:
        selection.of_profile(LOADED, smoke, globs=[f"debian-trixie-min/gcc/minimal@{name}"])
    assert str(told.value).endswith(f"selects no cell: the cells are on 7.3\n  Add --tree {name}.")
    with pytest.raises(UsageError, match=r"did you mean 'debian-trixie-min/gcc/minimal@7\.3'"):
        selection.of_profile(LOADED, smoke, globs=["debian-trixie-min/gcc/minimal@7.33"])


def test_cells_are_found_by_their_ids_on_the_trees_that_words_mean() -> None:
    ids = [f"debian-trixie-min/gcc/minimal@{tree}" for tree in ("7.3", "7.3+unrefactored")]
    assert [cell.id for cell in selection.on_trees(LOADED, ids, ["7.3+unrefactored", "7.3"])] == ids


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(step_s=60), "--timeout 60"),
        (Limits(step_s=60, cell_s=90), "--timeout 60 --cell-timeout 90"),
        (Limits(cell_s=90), "--cell-timeout 90"),
    ],
)
def test_a_cells_own_time_is_an_option_where_it_does_not_follow_from_its_steps(limits: Limits, words: str) -> None:
    assert command_line.reproduce(cell(), [], 3, limits).endswith(f" -j 3 {words} --fresh")
