"""Configurations that a stranger wrote (`--configs DIR`): each is refused in words, and none takes memory or time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from matrix.config import edits, load, strict_yaml
from matrix.errors import UsageError
from matrix.model.edit import Change, Edit

if TYPE_CHECKING:
    from pathlib import Path

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 10)
)

REFUSED = {
    "a billion laughs": (LAUGHS, "more than 100000 values"),
    "a billion laughs as keys": (LAUGHS.replace("[", "{k: [").replace("]", "]}"), "more than 100000 values"),
    "an alias of itself": ("a: &a [*a]\n", "an alias that stands for what it is in"),
    "lists in lists": ("[" * 5000 + "]" * 5000, "more than 50 levels"),
    "mappings in mappings": ("".join(" " * n + "a:\n" for n in range(400)), "more than 50 levels"),
    "a file of a megabyte": ("a: b\n" * 200_000, "more than 262144 bytes"),
    "a number of 5,000 digits": ("a: " + "1" * 5000, "a number of more than 100 characters"),
    "a number of base 60": ("a: 1" + ":1" * 50_000, "a number of more than 100 characters"),
    "a number of a tag": ("a: !!int x", "of no type that a configuration has"),
    "bytes": ("a: !!binary aGVsbG8=", "of no type that a configuration has"),
    "a set": ("a: !!set {b, c}", "of no type that a configuration has"),
    "a program": ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    "a merge": ("a: &a {b: c}\nd: {<<: *a}", "could not determine a constructor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_beyond_a_limit_is_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, why = REFUSED[case]
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"{re.escape(str(path))}: .*{why}"):
        strict_yaml.read(path)


def test_aliases_within_the_limits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    assert strict_yaml.read(path) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_each_of_a_file_makes_no_more_of_it_than_a_limit(tmp_path: Path) -> None:
    words = "".join(f"  i{n}: {{w: {'x' * 100}}}\n" for n in range(1000))
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds/x.yaml").write_text(f"summary: '{'@w@' * 10_000}'\neach:\n{words}")
    with pytest.raises(UsageError, match="key 'each' makes more than 16777216 characters"):
        load.load([tmp_path])


def edit(name: str, *includes: str, changes: int = 0) -> Edit:
    change = Change(file="a", add="b")
    return Edit(name=name, summary="", trees=("*",), includes=includes, changes=(change,) * changes)


def test_edits_that_include_each_other_twice_are_few() -> None:
    known = {f"e{n}": edit(f"e{n}", f"e{n + 1}", f"e{n + 1}") for n in range(40)}
    assert edits.whole("e0", {**known, "e40": edit("e40")}).changes == ()
    with pytest.raises(UsageError, match="edit e0 has more than 10000 changes"):
        edits.whole("e0", {**known, "e40": edit("e40", changes=1)})
    with pytest.raises(UsageError, match="edits include each other: e0 -> e1 -> e0"):
        edits.whole("e0", {"e0": edit("e0", "e1"), "e1": edit("e1", "e0")})
    row = {f"e{n}": edit(f"e{n}", f"e{n + 1}") for n in range(2000)}
    with pytest.raises(UsageError, match="edit e0 includes more than 50 edits in a row"):
        edits.whole("e0", {**row, "e2000": edit("e2000")})
