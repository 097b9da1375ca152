from __future__ import annotations

import pytest

from matrix.scenario import make_database
from matrix.scenario.make_database import Rule, parse

TEXT = """make: 'all' is up to date.
# GNU Make 4.3
# Make data base, printed on Thu Jan  1 00:00:00 1970

# Variables
# makefile
CURDIR := /src/tools/perf
# makefile (from 'Makefile.build', line 1)
dir := ./util
obj := perf-util
LONG := a: b
# Implicit Rules

%.o: %.c
#  recipe to execute (from 'Makefile', line 3):
\t$(CC) -c $<

# Files

# Not a target:
util/evsel.c:
#  Implicit rule search has been done.

prepare: libapi.a util/evsel.c | out
#  Phony target (prerequisite of .PHONY).

libapi.a: a.o a.o gone.o
#  recipe to execute (from 'Makefile', line 9):
\techo recipe: line

a.o::
#  recipe to execute (from 'Makefile', line 9):
\ttrue

out: out2

# Not a target:
last.c:

out2: prepare
# files hash-table stats:
# Finished Make data base on Thu Jan  1 00:00:00 1970

make: Leaving directory
# Make data base, printed on Thu Jan  1 00:00:00 1970
# Variables
CURDIR := /src
# Finished Make data base on Thu Jan  1 00:00:00 1970
# Make data base, printed on Thu Jan  1 00:00:00 1970
# Files
cut: short
"""


def test_each_make_has_its_own_targets_and_what_they_need_of_them() -> None:
    first, second = parse(TEXT.splitlines(keepends=True))
    assert first.variables == {"CURDIR": "/src/tools/perf", "dir": "./util", "obj": "perf-util"}
    assert first.rules == {
        "prepare": Rule(needs=("libapi.a",), order_only=("out",), phony=True),
        "libapi.a": Rule(needs=("a.o",), recipe=True),
        "a.o": Rule(recipe=True),
        "out": Rule(needs=("out2",)),
        "out2": Rule(needs=("prepare",)),
    }
    assert (second.folder, second.rules) == ("/src", {})


def test_a_target_waits_for_all_that_it_needs_directly_or_not_and_never_for_itself() -> None:
    first, _ = parse(TEXT.splitlines())
    assert first.below("prepare") == {"libapi.a", "a.o", "out", "out2"}
    assert first.below("a.o") == frozenset()
    assert first.below("unheard of") == frozenset()


def test_a_line_that_ends_a_data_base_that_never_began_is_nothing() -> None:
    assert parse(["# Finished Make data base on Thu\n", "a: b\n"]) == ()


@pytest.mark.parametrize("limit", ["MOST_RULES", "MOST_LINES"])
def test_a_tree_cannot_fill_the_memory_with_rules(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_database, limit, 3)
    with pytest.raises(ValueError, match="data bases have more than"):
        parse(TEXT.splitlines())
