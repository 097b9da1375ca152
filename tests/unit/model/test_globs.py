"""Globs match whole texts, with upper and lower case apart."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from matrix.model.globs import matches_any, selects_any


def test_one_of_several_globs_must_match_the_whole_text() -> None:
    assert matches_any("left:/src/a", ["lost:*", "left:*"])
    assert not matches_any("left:/src/a", ["left"])
    assert not matches_any("left:/src/a", ["LEFT:*"])
    assert not matches_any("left:/src/a", [])


def test_a_glob_must_match_one_of_several_whole_texts() -> None:
    assert selects_any("left:*", ["lost:/src/a", "left:/src/a"])
    assert not selects_any("left", ["left:/src/a"])
    assert not selects_any("*", [])


@given(st.text("ab[]!-*?\\^", max_size=8), st.text("ab[]!-\\^", max_size=5))
def test_a_glob_means_what_fnmatch_means_by_it(glob: str, text: str) -> None:
    assert matches_any(text, [glob]) == fnmatch.fnmatchcase(text, glob)
