from __future__ import annotations

import pytest

from matrix.scenario.make_database import Database, Rule
from matrix.trace import jobgraph
from matrix.trace.jobgraph import Make, work_s
from tests.unit.conftest import EPOCH, PERF, file
from tests.unit.trace.test_timeline import OWN, ran, timeline

FILES = [file(f"{PERF}/{name}", at=EPOCH + at) for name, at in (("a.o", 2), ("b.o", 4), ("lib/x-in.o", 6), ("perf", 9))]
MAKE = ran(0, "make", "-C", "/src/tools/perf", "all", at=(0, 10), parent=None, cpu_s=0.5)
QUERY = ran(1, "sh", "-c", "uname", at=(0, 1), stdout=OWN, cpu_s=0.25)
FIRST = ran(2, "sh", "-c", "gcc -c -o a.o a.c", at=(1, 2), cpu_s=0.25)
CC1 = ran(3, "cc1", "a.c", at=(1, 2), parent=2, cpu_s=1.0)
LATE = ran(4, "sh", "-c", "late", at=(2, 3), stdout=OWN, cpu_s=2.0)
SECOND = ran(5, "gcc", "-c", "-o", "b.o", "b.c", at=(3, 4), cpu_s=3.0)
NESTED = ran(6, "sh", "-c", "cd . && make dir=lib obj=x", at=(4, 6), cpu_s=0.125)
INNER = ran(7, "make", "-f", "Makefile.build", "dir=lib", "obj=x", at=(4, 6), parent=6, cpu_s=1.0)
LINK = ran(8, "ld", "-o", "lib/x-in.o", at=(5, 6), parent=7, cpu_s=4.0)
PERF_LINK = ran(9, "gcc", "-o", "perf", "a.o", "b.o", at=(8, 9), cpu_s=5.0)
BUILD = [MAKE, QUERY, FIRST, CC1, LATE, SECOND, NESTED, INNER, LINK, PERF_LINK, *FILES]


def database(rules: dict[str, Rule], **variables: str) -> Database:
    return Database(variables={"CURDIR": PERF, "MAKECMDGOALS": "all", **variables}, rules=rules)


def graph(*databases: Database) -> Make:
    return jobgraph.graph(timeline(*BUILD), databases)


def needs(make: Make) -> dict[str, set[str]]:
    names = [task.name.removeprefix(f"{PERF}/") for task in make.tasks]
    return {names[number]: {names[need] for need in task.needs} for number, task in enumerate(make.tasks)}


def test_the_work_of_a_build_is_all_its_cpu_time() -> None:
    assert work_s(graph()) == pytest.approx(timeline(*BUILD).tree.work_s)


def test_what_is_run_before_the_first_recipe_is_make_reading_its_makefiles() -> None:
    assert graph().parse_s == 0.75
    assert graph().tasks[0].serial_s == 1.25


def test_a_function_that_is_called_later_holds_up_the_next_recipe() -> None:
    assert graph().tasks[1].serial_s == 5.0


def test_a_nested_make_has_its_own_jobs_even_if_a_shell_started_it() -> None:
    nested = graph().tasks[2]
    assert nested.nested is not None
    assert (nested.serial_s, nested.nested.parse_s) == (0.125, 1.0)
    assert [task.serial_s for task in nested.nested.tasks] == [4.0]


def test_a_make_that_make_starts_without_a_shell_is_nested_too() -> None:
    [task] = jobgraph.graph(timeline(MAKE, ran(1, "make", "lib", at=(1, 2), cpu_s=1.0)), []).tasks
    assert task.nested is not None
    assert (task.serial_s, task.nested.parse_s) == (0.0, 1.0)


def test_a_job_needs_what_its_words_name() -> None:
    assert needs(graph())["perf"] == {"a.o", "b.o", "lib/x-in.o"}
    rules = {"perf": Rule(), "a.o": Rule(recipe=True), "b.o": Rule(recipe=True)}
    assert needs(graph(database(rules)))["perf"] == {"a.o", "b.o"}


def test_a_job_needs_what_its_make_declares_through_targets_without_a_recipe() -> None:
    rules = {
        "b.o": Rule(needs=("prepare",)),
        "prepare": Rule(needs=("lib/x-in.o", f"{PERF}/a.o"), phony=True),
        "lib/x-in.o": Rule(),
        f"{PERF}/a.o": Rule(),
    }
    assert needs(graph(database(rules)))["b.o"] == {"a.o"}, "what really ran later cannot have been needed"
    later = {"perf": Rule(order_only=("prepare",)), **rules}
    assert needs(graph(database(later)))["perf"] == {"a.o", "b.o", "lib/x-in.o"}


def test_where_nothing_is_declared_a_nested_make_that_had_ended_is_needed() -> None:
    assert needs(graph()) == {"a.o": set(), "b.o": set(), "lib/x-in.o": set(), "perf": {"a.o", "b.o", "lib/x-in.o"}}
    assert not graph().declared
    assert graph(database({})).declared
    assert needs(graph(database({}, MAKECMDGOALS="other")))["perf"] == {"a.o", "b.o", "lib/x-in.o"}


def test_lines_of_one_recipe_follow_each_other() -> None:
    echo = ran(1, "sh", "-c", "echo CC a.o", at=(0.5, 1))
    made = jobgraph.graph(timeline(MAKE, echo, FIRST, *FILES), [database({})])
    assert [task.needs for task in made.tasks] == [frozenset(), frozenset({0})]


def test_a_job_without_a_target_needs_nothing_and_has_the_name_of_its_make() -> None:
    [task] = jobgraph.graph(timeline(MAKE, ran(1, "true", at=(1, 2))), []).tasks
    assert (task.name, task.needs) == (f"a recipe of make: {PERF}/all", frozenset())


def test_a_shell_with_several_makes_is_their_serial_work() -> None:
    makes = [ran(2, "make", at=(1, 2), parent=1, cpu_s=1.0), ran(3, "make", at=(2, 3), parent=1, cpu_s=2.0)]
    [task] = jobgraph.graph(timeline(MAKE, ran(1, "sh", "-c", "make; make", at=(1, 3)), *makes), []).tasks
    assert (task.nested, task.serial_s) == (None, 3.0)


def test_the_workers_of_a_pool_are_what_can_be_split() -> None:
    python = ran(1, "python3", "jevents.py", at=(1, 9), cpu_s=1.0)
    forked = ran(2, at=(2, 8), parent=1, cpu_s=2.0)
    spawned = ran(3, "python3", "-c", "from multiprocessing.spawn import x", at=(2, 8), parent=1, cpu_s=4.0)
    helper = ran(4, "python3", "other.py", at=(2, 8), parent=1, cpu_s=8.0)
    [task] = jobgraph.graph(timeline(MAKE, python, forked, spawned, helper), []).tasks
    assert (task.serial_s, task.pool_s) == (9.0, 6.0)


def test_without_a_make_there_is_nothing_to_replay() -> None:
    with pytest.raises(ValueError, match="no make was traced"):
        jobgraph.graph(timeline(), [])


def test_what_a_fork_server_runs_is_counted_once() -> None:
    python = ran(1, "python3", "jevents.py", at=(1, 9), cpu_s=1.0)
    server = ran(2, "python3", "-c", "from multiprocessing.forkserver import main", at=(2, 8), parent=1, cpu_s=2.0)
    made = jobgraph.graph(timeline(MAKE, python, server, ran(3, at=(3, 8), parent=2, cpu_s=4.0)), [])
    assert (made.tasks[0].serial_s, made.tasks[0].pool_s) == (1.0, 6.0)


def test_what_reads_any_of_several_outputs_needs_the_job_that_wrote_them() -> None:
    both = [file(f"{PERF}/{name}.{kind}", at=EPOCH + at) for name in ("t", "s") for kind, at in (("c", 2), ("o", 4))]
    generator = ran(1, "python3", "gen.py", "t.c", "s.c", at=(1, 2))
    compilers = [ran(2, "gcc", "-c", "-o", "t.o", "t.c", at=(3, 4)), ran(3, "gcc", "-c", "-o", "s.o", "s.c", at=(3, 4))]
    made = jobgraph.graph(timeline(MAKE, generator, *compilers, *both), [])
    assert [task.needs for task in made.tasks] == [frozenset(), frozenset({0}), frozenset({0})]
    assert made.tasks[0].name == f"{PERF}/t.c"
    rules = {"s.c": Rule(needs=("a.o",)), "a.o": Rule()}
    declared = jobgraph.graph(
        timeline(MAKE, FIRST, ran(4, "gen", "t.c", "s.c", at=(1, 3)), *both, *FILES), [database(rules)]
    )
    assert declared.tasks[1].needs == {0}


def test_makes_that_are_alike_are_known_by_the_rules_of_all() -> None:
    rules = {"b.o": Rule(needs=("a.o",)), "a.o": Rule()}
    assert needs(graph(database(rules), database({})))["b.o"] == {"a.o"}


def test_how_many_makes_are_not_known_is_told() -> None:
    assert jobgraph.undeclared(graph()) == (2, 2)
    assert jobgraph.undeclared(graph(database({}))) == (1, 2)
    assert jobgraph.undeclared(jobgraph.graph(timeline(MAKE), [])) == (0, 0)


def test_makes_that_are_nested_without_end_are_refused() -> None:
    makes = [ran(number, "make", at=(0, 1), parent=number - 1) for number in range(1, 2000)]
    with pytest.raises(ValueError, match="nested too deep"):
        jobgraph.graph(timeline(MAKE, *makes), [])
