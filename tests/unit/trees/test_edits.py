from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from matrix.config import edits as configured
from matrix.errors import UsageError
from matrix.model.edit import Change, Edit
from matrix.trees import edits

FILES = {"Makefile": b"all:\n\techo one\n\techo one\n", "bytes": b"\xff one\n"}


def change(file: str = "Makefile", **more: Any) -> Change:
    return Change(file=file, **more)


def edit(*changes: Change, name: str = "e", **more: Any) -> Edit:
    return Edit(name=name, summary=name, trees=("*",), changes=changes, **more)


def applied(*given: Edit) -> dict[str, bytes | None]:
    return edits.apply(given, FILES.get)


def mistake(*given: Edit) -> str:
    with pytest.raises(UsageError) as caught:
        applied(*given)
    return str(caught.value)


def test_what_a_pattern_matches_is_replaced_line_by_line() -> None:
    assert applied(edit(change(find=r"^(all:)$", replace=r"\1 two"))) == {
        "Makefile": b"all: two\n\techo one\n\techo one\n"
    }


def test_a_file_that_is_no_utf8_keeps_its_bytes() -> None:
    assert applied(edit(change("bytes", find="one", replace="two"))) == {"bytes": b"\xff two\n"}


def test_later_changes_see_what_earlier_ones_left() -> None:
    first, second = change(find="^all", replace="some"), change(find="^some", replace="none")
    assert applied(edit(first), edit(second, name="f"))["Makefile"] == b"none:\n\techo one\n\techo one\n"


def test_files_are_added_and_removed_and_added_again() -> None:
    assert applied(edit(change("new", add="1\n"), change(remove=True))) == {"new": b"1\n", "Makefile": None}
    assert applied(edit(change(remove=True), change(add="x"))) == {"Makefile": b"x"}


@pytest.mark.parametrize("matches", [1, 3])
def test_a_pattern_that_matches_another_number_of_times_is_an_error(matches: int) -> None:
    message = mistake(edit(change(find="one", matches=matches)))
    assert f"edit e: 'one' matches 2 times in Makefile, not {matches}" in message


def test_other_mistakes_name_the_edit_and_the_file() -> None:
    assert "edit e: the tree has no nothing" in mistake(edit(change("nothing", find="x")))
    assert "edit e: the tree has no nothing" in mistake(edit(change("nothing", remove=True)))
    assert "edit e: Makefile exists already" in mistake(edit(change(add="x")))
    assert "edit e: 'all' changes nothing in Makefile" in mistake(edit(change(find="all", replace="all")))
    assert "edit e: '(' is no pattern" in mistake(edit(change(find="(")))


@pytest.mark.parametrize("more", [{}, {"find": "x", "add": "y"}, {"remove": True, "find": "x"}])
def test_a_change_is_of_one_kind(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one of find, add and remove"):
        change(**more)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/"])
def test_a_change_stays_in_the_tree(path: str) -> None:
    with pytest.raises(ValidationError, match="a path inside the tree"):
        change(path, find="x")


def test_an_edit_that_includes_others_has_their_changes_first() -> None:
    one, two = edit(change(find="1"), name="one"), edit(change(find="2"), name="two", includes=("one",))
    both = edit(change(find="3"), name="both", includes=("two", "one"))
    known = {each.name: each for each in (one, two, both)}
    whole = configured.whole("both", known)
    assert [each.find for each in whole.changes] == ["1", "2", "1", "3"]
    assert (whole.name, whole.includes) == ("both", ())


def test_edits_that_include_each_other_are_an_error() -> None:
    known = {"a": edit(name="a", includes=("b",)), "b": edit(name="b", includes=("a",))}
    with pytest.raises(UsageError, match="a -> b -> a"):
        configured.whole("a", known)
