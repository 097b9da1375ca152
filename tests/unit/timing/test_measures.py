from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from matrix.scenario import plan
from matrix.timing import measures
from matrix.trace.command_lines import generator_argv
from tests.unit.conftest import cell, process, step

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.scenario.step_facts import StepFacts
    from tests.unit.conftest import Record

OBJECT = "pmu-events/pmu-events.o"
WORDS = ["gcc", "-DX=a b", "-c", "-o", OBJECT, "pmu-events/pmu-events.c"]
JEVENTS = ["python3", "pmu-events/jevents.py", "x86", "all", "pmu-events/arch", "/out/pmu-events/pmu-events.c"]


def facts(*ran: Record) -> StepFacts:
    return step("build", *ran).facts()


def scripts(*ran: Record) -> dict[str, str]:
    [build, *_] = plan.scenario(cell()).steps
    return {name: one.commands[0].argv[-1] for name, one in measures.steps(build, cell(), facts(*ran)).items()}


def test_the_compilers_of_the_tables_are_the_drivers_that_wrote_their_objects_once_each() -> None:
    words = ["gcc", "-O2", "-c", "-o", OBJECT, "pmu-events/pmu-events.c"]
    ran = [
        process(0, "make"),
        process(1, "sh", "-c", " ".join(words), parent=0),
        process(2, *words, parent=1),
        process(3, "cc1", "-o", "x.s", parent=2),
        process(4, "clang", "-cc1", "-c", "-o", OBJECT, parent=2),
        process(5, "gcc", "-c", "-o", "pmu-events/pmu-events-string.o", "pmu-events/pmu-events-string.c", parent=0),
        process(6, "gcc", "-c", "-o", "util/evsel.o", "util/evsel.c", parent=0),
        process(7, "gcc", "-c", "-o", parent=0),
        process(8, *words, "--again", parent=1),
    ]
    found = measures.table_compilers(step("build", *ran).facts().processes)
    assert found == [
        tuple(words),
        ("gcc", "-c", "-o", "pmu-events/pmu-events-string.o", "pmu-events/pmu-events-string.c"),
    ]


def test_every_tree_can_be_made_and_only_what_its_build_showed_is_timed_alone() -> None:
    [build, *_] = plan.scenario(cell()).steps
    found = measures.steps(build, cell(), facts(process(0, "make")))
    assert list(found) == ["build", "no-op", "one-file"]
    assert [one.touch for one in found.values()] == [(), (), ("/src/tools/perf/util/evsel.c",)]
    assert not any(command.traced for one in found.values() for command in one.commands)
    assert {one.commands[0].argv for one in found.values()} == {build.commands[0].argv}


def test_the_generator_is_repeated_into_a_folder_of_its_own() -> None:
    found = scripts(process(0, *JEVENTS))["generate"]
    assert found.endswith(
        "cd /src/tools/perf && python3 pmu-events/jevents.py x86 all pmu-events/arch /tmp/measured/pmu-events.c"
    )


def test_the_units_of_the_tables_are_compiled_at_once_and_all_must_succeed(tmp_path: Path) -> None:
    string = ["gcc", "-c", "-o", "pmu-events/pmu-events-string.o", "pmu-events/pmu-events-string.c"]
    found = scripts(process(0, *WORDS), process(1, *string))["tables"]
    assert "gcc '-DX=a b' -c -o /tmp/measured/pmu-events.o pmu-events/pmu-events.c & p0=$!;" in found
    script = found[found.index("{ ") :]
    for ends, status in (("exit 0", 0), ("exit 3", 3)):
        compiler = tmp_path / "gcc"
        compiler.write_text(f"#!/bin/sh\ncase $* in *string*) {ends};; esac\n")
        compiler.chmod(0o755)
        done = subprocess.run(["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
        assert done.returncode == status


@pytest.mark.parametrize(
    "argv",
    [
        ["python3", "pmu-events/jevents.py", "none", "none", "pmu-events/arch", "pmu-events/test-empty-pmu-events.c"],
        ["python3", "pmu-events/jevents.py", "--help"],
        ["sh", "-c", "pmu-events/jevents.py", "a.c"],
        ["python3", "other.py", "a.c"],
        [],
    ],
)
def test_what_does_not_write_the_tables_is_no_run_of_the_generator(argv: list[str]) -> None:
    assert generator_argv(facts(process(0, *argv)), "jevents.py") == ()
    assert generator_argv(facts(process(0, *argv), process(1, *JEVENTS)), "jevents.py") == tuple(JEVENTS)


def test_what_is_counted_is_that_of_the_trace() -> None:
    found = measures.counted(facts(process(0, "make"), process(1, "cc1", "a.c", parent=0)))
    assert (found.processes, found.compiler_runs, found.parses, found.shell_processes) == (2, 1, 1, 0)
