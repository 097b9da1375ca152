from __future__ import annotations

import pytest

from matrix.verdicts import wording


@pytest.mark.parametrize(("number", "text"), [(0, "0 findings"), (1, "1 finding"), (2, "2 findings")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert wording.count(number, "finding") == text


def test_a_plural_of_its_own_is_given() -> None:
    assert [wording.count(number, "patch", "patches") for number in (1, 2)] == ["1 patch", "2 patches"]


def test_a_list_that_is_cut_says_how_many_are_left() -> None:
    assert wording.cut(["a", "b"], 2) == ["a", "b"]
    assert wording.cut(["a", "b", "c"], 2) == ["a", "b", "and 1 more"]
    assert (wording.number_left("abc", 2), wording.number_left("abc", 5)) == (1, 0)


def test_the_first_of_a_list_says_how_many_there_are_besides() -> None:
    assert [wording.first_of(texts) for texts in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a (+2)"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (95.4, "95 s"), (599.0, "599 s"), (600.0, "10 min")])
def test_a_long_cpu_time_is_in_minutes(seconds: float, text: str) -> None:
    assert wording.cpu_time(seconds) == f"{text} of CPU time"
