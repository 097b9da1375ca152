from __future__ import annotations

from itertools import permutations

import pytest
from pydantic import ValidationError

from matrix.model.build import Build
from matrix.model.cell import Limits
from matrix.model.known_failure import KnownFailure
from matrix.model.result import Finding, Verdict, worst
from matrix.model.tree import Tree, name_of_source
from tests.unit.conftest import build, cell, image, known, tree


def test_a_cell_is_known_by_image_toolchain_build_and_tree() -> None:
    of = cell(of=image("debian-sid", toolchains={"clang": {}}), toolchain="clang", what=build("static"), on=tree("7.3"))
    assert of.id == "debian-sid/clang/static@7.3"
    assert of.path.parts == ("debian-sid", "clang", "static@7.3")


def test_a_tree_is_asked_for_by_its_name_or_by_its_source() -> None:
    assert tree("7.3").asked == "7.3"
    by_source = Tree(name=name_of_source("dir:/x"), source="dir:/x")
    assert by_source.asked == "dir:/x"
    assert by_source.model_copy(update={"name": "base"}).asked == "base"


@pytest.mark.parametrize("name", ["", "Upper", "-first", "a b", "a/b", "a@b", "../x", "a\n"])
def test_a_name_that_would_not_do_in_an_id_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        build(name)


@pytest.mark.parametrize("name", ["NO-X", "1A", "A B", "A=B", ""])
def test_a_make_variable_that_make_could_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        build(make={name: "1"})


def test_a_noun_does_not_change() -> None:
    with pytest.raises(ValidationError):
        build().name = "other"  # type: ignore[misc] # what is refused


def test_a_strangers_cell_may_have_a_toolchain_that_its_image_has_not() -> None:
    assert cell(toolchain="icc", what=build(make={"V": "1"})).make == {"V": "1"}


def test_a_build_in_the_tree_has_no_output_folder_to_name() -> None:
    with pytest.raises(ValidationError, match="output_word is for builds that are out_of_tree"):
        build(output_word="../out")
    assert build(out_of_tree=True, output_word="../out").output_word == "../out"


def test_a_build_states_only_linkages_and_start_methods_that_there_are() -> None:
    with pytest.raises(ValidationError):
        Build.model_validate_json('{"name": "b", "summary": "", "expect": {"linkage": "both"}}')
    with pytest.raises(ValidationError):
        Build.model_validate_json('{"name": "b", "summary": "", "start_method": "thread"}')


def test_a_findings_key_is_its_kind_and_subject() -> None:
    assert Finding(kind="left", subject="/src/a:b", expected="", actual="").key == "left:/src/a:b"


def test_a_known_failure_says_which_findings_and_why() -> None:
    with pytest.raises(ValidationError):
        known("clean")
    with pytest.raises(ValidationError):
        known("clean", "left:*", why="")
    assert isinstance(known("clean", "left:*"), KnownFailure)


def test_no_verdict_at_all_is_an_error() -> None:
    assert worst([]) is Verdict.ERROR


def test_the_worst_verdict_is_the_same_in_any_order() -> None:
    ranked = [Verdict.SKIP, Verdict.PASS, Verdict.XFAIL, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]
    for length in (1, 2, 3):
        for chosen in permutations(ranked, length):
            assert worst(list(chosen)) is max(chosen, key=ranked.index)


def test_a_cell_has_the_time_of_four_steps_unless_it_is_given_another() -> None:
    assert Limits().cell_s == 4800
    assert Limits(step_s=100).cell_s == 400
    assert Limits(step_s=100, cell_s=50).cell_s == 50
    assert Limits.model_validate_json('{"step_s": 7200}').cell_s == 28800
