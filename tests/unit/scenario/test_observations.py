from __future__ import annotations

import pytest

from matrix.scenario.observations import absolute, children, gone
from tests.unit.conftest import PERF, Record, build, cell, command, end, file, observations, process, step


def test_paths_are_as_inside_the_cell() -> None:
    assert absolute("source", "tools/perf/perf") == "/src/tools/perf/perf"
    assert absolute("output", ".") == "/out"
    assert absolute("generated", "fork/./a.c") == "/tmp/generated/fork/a.c"  # noqa: S108 - inside the cell


def test_a_step_has_the_files_processes_and_commands_that_its_records_tell_of() -> None:
    facts = step(
        "build",
        process(0, "make", "all"),
        process(1, parent=0),
        command("make", "make", wall_s=2.5),
        process(0, "cat"),
        command("second", "cat", traced=False),
        file(f"{PERF}/perf", "abc", mode=0o755),
        ["mention", "source", "tools/perf/.a.o.cmd", ["a.c"]],
        ["listing", ".", []],
    ).facts()
    assert [ran.label for ran in facts.commands] == ["make", "second"]
    assert [one.program for one in facts.processes] == ["make", ""]
    assert facts.processes[1].parent == 0
    assert [len(ran.processes) for ran in facts.commands] == [2, 1]
    assert (facts.files[f"{PERF}/perf"].content, facts.files[f"{PERF}/perf"].mode) == ("abc", 0o755)
    assert facts.mentions == {f"{PERF}/.a.o.cmd": ("a.c",)}
    assert facts.traced
    assert facts.failure == ""


def test_what_cannot_be_read_fails_the_step_that_left_it() -> None:
    facts = step("build", ["unreadable", "/src/x", "denied"]).facts()
    assert facts.failure == "left what cannot be read: /src/x: denied"


def test_the_last_program_of_a_process_is_the_one_that_it_is_known_by() -> None:
    record = process(0, "/bin/sh", "-c", "exec gcc")
    record[2]["argvs"].append(["/usr/bin/gcc", "-c", "a.c"])
    [one] = step("build", record).facts().processes
    assert (one.argv, one.program) == (("/usr/bin/gcc", "-c", "a.c"), "gcc")


def test_without_a_traced_command_no_process_is_known() -> None:
    facts = step("build", command(traced=False)).facts()
    assert not facts.traced
    assert facts.processes == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([command("make", "make", exit_status=2)], "exit status 2 of make"),
        ([command(exit_status=-9)], "exit status -9 of make"),
        ([command(timed_out=True, exit_status=-9)], "ended after 1200 s, the limit on a step"),
        ([command(exit_status=2), end(oom_kills=3)], "hit the limit on memory (3 processes killed)"),
        ([command(exit_status=2), end(fork_failures=1)], "hit the limit on processes (1 forks refused)"),
        ([command(exit_status=2, free_bytes=0)], "filled the disk space that a cell may use"),
        ([command(free_bytes=None)], ""),
    ],
)
def test_a_failed_step_says_why_the_limits_first(given: list[Record], why: str) -> None:
    assert step("build", *given).facts().failure == why


def test_a_step_whose_records_stop_before_the_end_failed() -> None:
    whole = step("build")
    cut = whole.model_copy(update={"records": whole.records[:-1]})
    assert cut.facts().failure == "the step's facts end early"


def test_a_step_that_keeps_going_does_not_fail_with_its_commands() -> None:
    assert step("self-test", command(exit_status=1)).facts().failure == ""


def test_what_went_wrong_around_a_step_is_its_failure() -> None:
    assert step("build", command(exit_status=1), error="the container ended").facts().failure == ("the container ended")


def test_a_failed_command_without_words_is_still_a_failure() -> None:
    record = command(exit_status=1)
    record[1]["argv"] = []
    assert step("build", record).facts().failure


def test_a_step_is_done_when_it_ran_and_did_not_fail() -> None:
    seen = observations(steps={"rebuild": [command(exit_status=1)]}, omit=["clean"])
    assert seen.done("build") is seen.steps["build"]
    assert seen.done("rebuild") is None
    assert seen.done("clean") is None


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
    assert "generate" not in previous
    assert previous["rebuild"] == "self-test"


def ways(before: list[Record], after: list[Record]) -> dict[str, str]:
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
        ([file("/src/a", kind="directory")], [file("/src/a")], "content changed"),
    ],
)
def test_a_change_of_a_file_is_told_by_its_way(before: list[Record], after: list[Record], way: str) -> None:
    assert ways(before, after) == {"/src/a": way}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([file("/src/a")], [file("/src/a")]),
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


def test_children_are_the_names_in_each_folder() -> None:
    assert children(["Makefile", "tools/perf/a.c", "tools/perf/b.c", "tools/lib/c.c"]) == {
        "": {"Makefile", "tools"},
        "tools": {"perf", "lib"},
        "tools/perf": {"a.c", "b.c"},
        "tools/lib": {"c.c"},
    }


def test_gone_is_what_the_listing_of_a_folder_no_longer_shows() -> None:
    names = children(["Makefile", "tools/perf/a.c", "tools/perf/b.c"])
    listings = [
        ["listing", ".", ["tools", "new"]],
        ["listing", "tools/perf", ["b.c", "perf"]],
        ["listing", "made/here", ["x"]],
        ["file", "source", "a", {}],
    ]
    assert gone(listings, names) == ["Makefile", "tools/perf/a.c"]
