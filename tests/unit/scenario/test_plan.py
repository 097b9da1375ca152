from __future__ import annotations

import pytest

from matrix.model.cell import Limits
from matrix.scenario import plan
from tests.unit.conftest import build, cell, image, tree


def test_a_build_in_the_tree_makes_perf_there() -> None:
    of = cell(of=image(toolchains={"clang": {"LLVM": "1"}}), toolchain="clang", what=build(make={"NO_ZLIB": "1"}))
    assert plan.output_folder(of) == "/src/tools/perf"
    assert plan.make_argv(of, 4, "clean") == (
        "make",
        "-C",
        "/src/tools/perf",
        "JOBS=4",
        "LLVM=1",
        "NO_ZLIB=1",
        "clean",
    )


def test_a_build_out_of_the_tree_makes_perf_in_a_folder_of_its_own() -> None:
    of = cell(what=build(out_of_tree=True))
    assert plan.output_folder(of) == "/out"
    assert plan.make_argv(of, 2)[-1] == "O=/out"


def test_a_builds_own_make_variable_wins_over_the_toolchains() -> None:
    of = cell(of=image(toolchains={"gcc": {"CC": "gcc"}}), what=build(make={"CC": "gcc-13"}))
    assert "CC=gcc-13" in plan.make_argv(of, 1)
    assert "CC=gcc" not in plan.make_argv(of, 1)


def test_a_start_method_is_forced_through_the_environment_after_a_build_without_it() -> None:
    first, again, generate = plan.scenario(cell(what=build(start_method="spawn"))).steps
    assert "PERF_MATRIX_START_METHOD" not in first.environment
    for step in (again, generate):
        assert step.environment["PERF_MATRIX_START_METHOD"] == "spawn"
        assert step.environment["PYTHONPATH"] == "/agent/start-method"


def test_the_steps_come_in_their_order_the_second_build_right_after_the_first() -> None:
    names = [step.name for step in plan.scenario(cell()).steps]
    assert names == [
        "build",
        "self-test",
        "build-again",
        "rebuild",
        "touch-source",
        "touch-header",
        "database",
        "clean",
    ]


def test_a_scenario_is_readable_as_one_would_type_it() -> None:
    of = cell(what=build(make={"V": "1"}, out_of_tree=True), on=tree(touch_source="a.c"))
    make = "make -C /src/tools/perf JOBS=2 V=1 O=/out"
    assert [f"{step.name} in the {step.place}: {step.text}" for step in plan.scenario(of).steps] == [
        f"build in the first: {make}; date +%s",
        "self-test in the first: /out/perf version --build-options; cat /out/FEATURE-DUMP",
        "build-again in the second: make -C /src/tools/perf JOBS=3 V=1 O=/out; date +%s",
        f"rebuild in the first: {make}",
        f"touch-source in the first: touch /src/a.c; {make}",
        f"touch-header in the first: touch /src/tools/perf/util/pmus.h; {make}",
        "database in the first: make -C /src/tools/perf -f Makefile.perf --no-print-directory -j1 -pn V=1 O=/out all",
        f"clean in the first: {make} clean",
    ]


@pytest.mark.parametrize(("goals", "named"), [((), ["all"]), (("perf",), ["perf"])])
def test_the_data_bases_are_those_of_the_makefile_that_the_first_one_hides(
    goals: tuple[str, ...], named: list[str]
) -> None:
    of = cell(what=build(make={"V": "1"}, goals=goals, out_of_tree=True))
    [step] = [step for step in plan.scenario(of, jobs=8).steps if step.declares]
    [command] = step.commands
    options = ["-f", "Makefile.perf", "--no-print-directory", "-j1", "-pn"]
    assert [*command.argv] == ["make", "-C", "/src/tools/perf", *options, "V=1", "O=/out", *named]
    assert not command.traced


def test_a_forced_start_method_has_a_build_without_it_and_steps_of_its_own() -> None:
    of = cell(what=build(start_method="fork", make={"V": "1"}))
    steps = {step.name: step for step in plan.scenario(of).steps}
    assert list(steps) == ["build", "regenerate", "generate"]
    assert steps["build"] == plan.scenario(cell(what=build(make={"V": "1"}))).steps[0]
    jevents = "/src/tools/perf/pmu-events/jevents.py"
    assert steps["regenerate"].text == f"touch {jevents}; make -C /src/tools/perf JOBS=2 V=1"
    assert steps["generate"].replays == "jevents.py"
    assert steps["generate"].text == "jevents.py under serial, fork, forkserver, spawn"


def test_the_build_without_a_start_method_is_that_of_the_extended_build() -> None:
    spawn = cell(what=build("spawn", start_method="spawn", extends="minimal", make={"V": "1"}))
    minimal = plan.without_start_method(spawn)
    assert (minimal.build.name, minimal.build.start_method, minimal.make) == ("minimal", None, {"V": "1"})
    assert plan.without_start_method(minimal) is minimal
    own = cell(what=build("own", start_method="spawn"))
    assert plan.without_start_method(own).id == own.id


def test_the_second_build_runs_elsewhere_under_other_circumstances() -> None:
    scenario = plan.scenario(cell(), jobs=3)
    steps = {step.name: step for step in scenario.steps}
    again = steps["build-again"]
    assert again.place == "second"
    assert {step.place for name, step in steps.items() if name != "build-again"} == {"first"}
    assert again.umask != steps["build"].umask
    assert again.environment != steps["build"].environment
    assert "JOBS=4" in again.commands[0].argv
    assert "JOBS=3" in steps["build"].commands[0].argv
    assert scenario.hostnames["first"] != scenario.hostnames["second"]


def test_make_runs_are_traced_and_the_programs_own_output_is_captured() -> None:
    steps = {step.name: step for step in plan.scenario(cell()).steps}
    assert all(command.captured for command in steps["self-test"].commands)
    assert steps["self-test"].keep_going
    for name in ("build", "build-again", "rebuild", "touch-source", "touch-header", "clean"):
        assert [c.label for c in steps[name].commands if c.traced] == ["make"]
        assert not steps[name].keep_going


def test_perfs_tests_run_by_the_names_that_the_tree_has_for_them() -> None:
    of = cell(what=build(perf_tests=("one", "two")), on=tree(renamed_tests={"two": "zwei"}))
    [*_, tests] = next(step for step in plan.scenario(of).steps if step.name == "self-test").commands
    assert tests.argv == ("/src/tools/perf/perf", "test", "one", "zwei")


def test_without_tests_to_run_none_is_run() -> None:
    labels = [command.label for command in plan.scenario(cell()).steps[1].commands]
    assert labels == ["options", "features"]


def test_touch_steps_touch_what_the_tree_names() -> None:
    of = cell(on=tree(touch_source="a.c", touch_header="b.h"))
    steps = {step.name: step for step in plan.scenario(of).steps}
    assert (steps["touch-source"].touch, steps["touch-header"].touch) == (("/src/a.c",), ("/src/b.h",))
    assert steps["touch-source"].text.startswith("touch /src/a.c; make -C ")


def test_the_limit_on_a_step_is_the_one_that_was_asked_for() -> None:
    scenario = plan.scenario(cell(), limits=Limits(step_s=7))
    assert scenario.limits.step_s == 7
    assert {step.timeout_s for step in scenario.steps} == {7}
    assert {step.timeout_s for step in plan.scenario(cell()).steps} == {Limits().step_s}


def test_a_command_is_shown_as_one_would_type_it() -> None:
    of = cell(what=build(make={"LDFLAGS": "-static -s"}))
    assert "'LDFLAGS=-static -s'" in plan.scenario(of).steps[0].text


def test_a_steps_commands_are_invoked_in_its_environment_into_no_folder_of_their_own() -> None:
    step = next(s for s in plan.scenario(cell()).steps if s.name == "build-again")

    planned = plan.invocations(step)

    assert [one.command.label for one in planned] == ["make", "clock"]
    assert all(one.environment == step.environment and not one.folder for one in planned)


def test_a_generator_is_replayed_once_per_start_method_into_a_folder_per_method() -> None:
    step = next(s for s in plan.scenario(cell(what=build(start_method="fork"))).steps if s.replays)
    seen = ("python3", "pmu-events/jevents.py", "x86", "all", "pmu-events/arch", "/out/pmu-events/a.c")
    planned = plan.replays(step, seen)
    assert [command.label for command, _, _ in planned] == list(plan.START_METHODS)
    for command, environment, folder in planned:
        assert environment["PERF_MATRIX_START_METHOD"] == command.label
        assert folder.endswith(f"/{command.label}")
        assert command.argv == (*seen[:-1], f"{folder}/a.c")
        assert command.traced


@pytest.mark.parametrize("jobs", [1, 8])
def test_a_cell_is_planned_the_same_every_time(jobs: int) -> None:
    assert plan.scenario(cell(), jobs) == plan.scenario(cell(), jobs)


def test_only_the_steps_that_are_asked_for_are_planned() -> None:
    assert [step.name for step in plan.scenario(cell(), only=("clean", "build")).steps] == ["build", "clean"]


def test_both_builds_of_a_planted_cell_find_what_was_edited_newer() -> None:
    steps = {step.name: step for step in plan.scenario(cell(), planted=("tools/perf/Makefile.perf",)).steps}
    touched = {name: step.touch for name, step in steps.items() if not name.startswith("touch")}
    assert {name for name, paths in touched.items() if paths} == {"build", "build-again"}
    assert touched["build"] == touched["build-again"] == ("/src/tools/perf/Makefile.perf",)


def test_makes_data_base_is_printed_with_the_output_folder_that_perfs_makefile_hands_on() -> None:
    of = cell(what=build(out_of_tree=True, output_word="../out"))
    assert "O=../out" in plan.make_argv(of, 2)
    assert "O=/out" in plan.database_argv(of)
