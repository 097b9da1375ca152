from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.trace import command_lines
from matrix.trace.command_lines import TEXT_CHARS, maker, names, text
from tests.unit.conftest import EPOCH, PERF, Record, file, process, step

if TYPE_CHECKING:
    from matrix.scenario.step_facts import Process


def ran(*argv: str, cwd: str = PERF) -> Record:
    return process(0, *argv, cwd=cwd)


def test_a_command_line_is_shown_as_one_would_type_it_and_shortened() -> None:
    one, two = step("build", ran("sh", "-c", "a b"), ran("x" * 1000)).facts().processes
    assert text(one) == "sh -c 'a b'"
    assert len(text(two)) == TEXT_CHARS
    assert text(two).endswith("…")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("gcc", "-o", "util/a.o"), True),
        (("gcc", "-outil/a.o"), True),
        (("touch", f"{PERF}/util/a.o"), True),
        (("sh", "-c", "(gcc -c a.c >'util/a.o')"), True),
        (("sh", "-c", "mv x ./util/../util/a.o;"), True),
        (("gcc", "-o", "a.o"), False),
        (("echo", "-o", "''"), False),
        ((), False),
    ],
    ids=str,
)
def test_a_process_names_a_file_by_a_word_of_its_command_line(argv: tuple[str, ...], *, named: bool) -> None:
    [one] = step("build", ran(*argv)).facts().processes
    assert names(one, f"{PERF}/util/a.o") is named


def maker_of(*processes: Record) -> str:
    return maker(step("build", *processes, file(f"{PERF}/a.o", at=EPOCH)).facts(), f"{PERF}/a.o")


def test_the_maker_is_the_last_program_to_have_started_that_names_the_file() -> None:
    assert (
        maker_of(
            process(0, "make", "a.o", start=EPOCH - 9),
            process(1, "sh", "-c", "gcc -o a.o a.c", start=EPOCH - 3),
            process(2, "gcc", "-o", "a.o", start=EPOCH - 2),
            process(3, "as", "-o", "a.o", start=EPOCH - 1, end=None),
            process(4, "ld", "a.o", start=EPOCH + 5),
            process(5, "cat", "a.o", start=EPOCH - 8, end=EPOCH - 7),
            process(6, start=EPOCH - 1),
            process(7, "ld", "b.o"),
        )
        == "as -o a.o"
    )


def test_a_recipes_shell_is_the_maker_where_no_program_that_it_ran_names_the_file() -> None:
    shell = process(1, "sh", "-c", "printf x > a.o", start=EPOCH - 3)
    assert maker_of(process(0, "make", "b.o"), shell) == "sh -c 'printf x > a.o'"


def test_where_nobody_names_the_file_no_maker_is_told() -> None:
    assert maker_of(process(0, "make")) == ""


def test_a_file_that_the_step_did_not_leave_has_no_maker() -> None:
    assert maker(step("build", process(0, "gcc", "-o", "a.o")).facts(), f"{PERF}/a.o") == ""


def test_the_makers_of_many_files_are_found_in_one_pass_over_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2000
    processes = [process(number, "gcc", "-o", f"{number}.o") for number in range(count)]
    facts = step("build", *processes, *(file(f"{PERF}/{number}.o") for number in range(count))).facts()
    asked: list[object] = []
    runs_at = command_lines._runs_at

    def counted(one: Process, at: float) -> bool:
        asked.append(one)
        return runs_at(one, at)

    monkeypatch.setattr(command_lines, "_runs_at", counted)
    assert all(maker(facts, f"{PERF}/{number}.o") == f"gcc -o {number}.o" for number in range(count))
    assert len(asked) == count, "only the process that names a file is looked at for it"
