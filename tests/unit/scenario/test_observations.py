from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matrix.scenario.observations import obstacle
from tests.unit.conftest import Record, build, cell, command, file, observations

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_a_step_is_done_when_it_ran_and_did_not_fail() -> None:
    seen = observations(steps={"rebuild": [command(exit_status=1)]}, omit=["clean"])
    assert seen.done("build") is seen.steps["build"]
    assert seen.done("rebuild") is None
    assert seen.done("clean") is None


def test_a_step_after_a_failed_build_is_not_lacking() -> None:
    seen = observations(steps={"build": [command(exit_status=1)]}, omit=["rebuild", "clean"])
    assert seen.lacking is None
    [rebuild] = [step for step in seen.scenario.steps if step.name == "rebuild"]
    assert obstacle(rebuild, seen.steps.values()) == "step build failed: exit status 1 of make"


def test_a_step_that_makes_nothing_is_in_the_way_only_where_its_container_may_have_ended() -> None:
    seen = observations()
    clean, database = seen.steps["clean"].step, seen.steps["database"]
    failed = replace(database, error="exit status 2 of make")
    assert obstacle(clean, [failed]) == ""
    assert obstacle(clean, [replace(failed, ended=False)]) == "step database failed: exit status 2 of make"


def test_a_step_that_nothing_stood_in_the_way_of_is_lacking() -> None:
    lacking = observations(omit=["clean"]).lacking
    assert lacking is not None
    assert lacking.name == "clean"


def test_made_is_what_the_tree_did_not_have_or_had_with_other_content() -> None:
    seen = observations(
        steps={
            "build": [
                file("/src/new", "n"),
                file("/src/same", "s"),
                file("/src/other", "o"),
                file("/src/removed", "", kind="whiteout"),
                file("/src/tools", "", kind="directory"),
                file("/src/made", "", kind="directory"),
                file("/out/perf", "p"),
            ]
        },
        lower={
            "/src/same": (0o644, "s"),
            "/src/other": (0o644, "before"),
            "/src/removed": (0o644, ""),
            "/src/tools": (0o755, ""),
        },
    )
    assert seen.made("build").keys() == {"/src/new", "/src/other", "/src/removed", "/src/made", "/out/perf"}


def test_a_step_follows_the_one_before_it_in_the_same_container() -> None:
    assert observations().previous == {
        "self-test": "build",
        "rebuild": "self-test",
        "touch-source": "rebuild",
        "touch-header": "touch-source",
        "database": "touch-header",
        "clean": "database",
    }


def test_a_step_that_looked_at_other_folders_comes_between_no_others() -> None:
    previous = observations(cell(what=build(start_method="fork"))).previous
    assert previous == {"regenerate": "build"}, "generate has folders of its own"


def test_after_a_step_that_none_was_before_all_files_are_new() -> None:
    assert observations(steps={"touch-source": [file("/src/a")]}).changed("touch-source") == {"/src/a": "created"}


def ways(before: list[Record], after: list[Record]) -> Mapping[str, str]:
    return observations(steps={"touch-source": before, "touch-header": after}).changed("touch-header")


@pytest.mark.parametrize(
    ("before", "after", "way"),
    [
        ([], [file("/src/a")], "created"),
        ([file("/src/a")], [], "removed"),
        ([file("/src/a", "1")], [file("/src/a", "2")], "content changed"),
        ([file("/src/a", "b")], [file("/src/a", "b", kind="symlink")], "content changed"),
        ([file("/src/a", ino=1)], [file("/src/a", ino=2)], "replaced by an equal file"),
        ([file("/src/a", at=1.0)], [file("/src/a", at=2.0)], "written again with equal content"),
        ([file("/src/a", mode=0o644)], [file("/src/a", mode=0o600)], "mode changed"),
        ([file("/src/a", ctime_ns=1)], [file("/src/a", ctime_ns=2)], "written again, and its time put back"),
        ([file("/src/a", kind="directory")], [file("/src/a")], "content changed"),
    ],
)
def test_a_change_of_a_file_is_told_by_its_way(before: list[Record], after: list[Record], way: str) -> None:
    assert ways(before, after) == {"/src/a": way}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([file("/src/a")], [file("/src/a")]),
        ([file("/src/a", ctime_ns=1)], [file("/src/a", ctime_ns=1)]),
        ([file("/src/a")], [file("/src/a", ctime_ns=2)]),
        ([], [file("/src/a", kind="directory")]),
        ([file("/src/a", kind="directory")], []),
        ([file("/src/a", kind="directory", at=1.0)], [file("/src/a", kind="directory", at=2.0)]),
    ],
)
def test_an_equal_file_and_folders_are_no_change(before: list[Record], after: list[Record]) -> None:
    assert ways(before, after) == {}


def test_what_a_step_touched_itself_is_no_change() -> None:
    seen = observations(steps={"touch-source": [file("/src/tools/perf/util/evsel.c"), file("/src/tools/perf/x")]})
    assert seen.changed("touch-source") == {"/src/tools/perf/x": "created"}


def test_a_file_of_the_tree_that_was_removed_is_told_as_removed() -> None:
    assert ways([], [file("/src/a", "", kind="whiteout")]) == {"/src/a": "removed"}
