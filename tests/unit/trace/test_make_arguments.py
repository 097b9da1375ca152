from __future__ import annotations

from matrix.trace.make_arguments import MakeArguments, arguments, folder
from tests.unit.conftest import process, step


def test_goals_and_variables_are_told_from_options() -> None:
    words = ("make", "-C", "dir", "-j2", "--no-print-directory", "O=", "V=1", "all", "-f", "x=y")
    assert arguments(words) == MakeArguments(goals=["all"], variables={"O": "", "V": "1"}, folder="dir")


def test_a_make_runs_in_the_folder_that_it_is_told() -> None:
    given = (process(0, "make", "-C", "../lib", cwd="/src/tools"), process(1, "make", cwd=""))
    assert [folder(one) for one in step("build", *given).facts().processes] == ["/src/lib", "/"]
