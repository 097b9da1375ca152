"""A transcript that is made of the agent's output, step by step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matrix.scenario import plan
from matrix.scenario.recorder import Recorder, Taken
from matrix.scenario.transcript import Transcript
from tests.unit.conftest import PERF, cell, command, end, file, process, records, step

if TYPE_CHECKING:
    from matrix.scenario.transcript import StepRecord
    from tests.unit.conftest import Record

CELL = cell()
STEPS = {one.name: one for one in plan.scenario(CELL).steps}
INDEX = {"tools/perf/builtin.c": (0o644, "as-in-tree"), "tools/perf/Makefile": (0o644, "m")}
BUILTIN = f"{PERF}/builtin.c"


def recorder(below: StepRecord | None = None) -> Recorder:
    begun = Transcript(scenario=plan.scenario(CELL), ignore={}, generator_has_pool=True)
    return Recorder(begun, INDEX, below)


def output(*given: Record) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in given).encode()


def taken(name: str = "build", **more: str) -> Taken:
    return Taken(step=STEPS[name], log=f"logs/{name}.log", **more)


def test_a_step_is_recorded_with_its_facts_and_what_the_tree_has_at_its_paths() -> None:
    made = recorder()
    facts = made.take(taken(), output(*records([file(BUILTIN, "other"), file(f"{PERF}/perf"), file(PERF)])), "log")
    assert facts.failure == ""
    assert made.transcript.lower == {BUILTIN: (0o644, "as-in-tree"), PERF: (0o755, "")}
    [kept] = made.transcript.steps
    assert (kept.step.name, kept.log, kept.evidence, kept.facts()) == ("build", "logs/build.log", (), facts)
    assert made.present("build", [f"{PERF}/perf", f"{PERF}/none"]) == [f"{PERF}/perf"]
    assert made.facts == {"build": facts}


def test_steps_and_other_facts_add_up() -> None:
    made = recorder()
    for name in ("build", "rebuild"):
        made.take(taken(name), output(*records([file(BUILTIN if name == "build" else PERF)])), "")
    made.note(compact_tables=("a",))
    assert [one.step.name for one in made.transcript.steps] == ["build", "rebuild"]
    assert set(made.transcript.lower) == {BUILTIN, PERF}
    assert made.transcript.compact_tables == ("a",)


def test_a_step_that_failed_has_its_logs_trouble_as_evidence() -> None:
    made = recorder()
    failed = output(command(exit_status=2), end())
    facts = made.take(taken(), failed, "a.c:1: error: x\nmake: *** [a.o]\n")
    assert facts.failure == "exit status 2 of make"
    assert facts.evidence == made.transcript.steps[0].evidence == ("a.c:1: error: x", "make: *** [a.o]")


def test_output_that_breaks_off_is_the_failure_that_is_given_for_it() -> None:
    facts = recorder().take(taken(early="the agent ended, status 137"), output(command()), "")
    assert facts.failure == "the agent ended, status 137"
    assert recorder().take(taken(), b"", "").failure == "the step's facts end early"
    assert recorder().take(taken(limit="hit the limit"), b"cut sho", "").failure == "hit the limit"
    assert recorder().take(taken(limit="hit the limit"), output(*records([])), "").failure == ""


def test_a_step_with_an_error_has_no_facts_whatever_the_agent_wrote() -> None:
    made = recorder()
    facts = made.take(taken(error="too many facts"), output(*records([file(BUILTIN)])), "")
    assert (facts.failure, facts.files, made.transcript.steps[0].records) == ("too many facts", {}, [])


def test_output_of_another_form_is_the_steps_failure() -> None:
    assert "is no JSON" in recorder().take(taken(), b"not json\n", "").failure
    listing = recorder().take(taken(), output(command(), ["listing", "."], end()), "")
    assert listing.failure.startswith("a listing of step build is not as the agent writes it: ")


def test_what_a_listing_lacks_of_the_tree_is_missing() -> None:
    facts = recorder().take(taken(), output(command(), ["listing", "tools/perf", ["Makefile"]], end()), "")
    assert facts.missing == ("tools/perf/builtin.c",)


def test_a_build_that_continues_has_the_processes_of_the_kept_build_too() -> None:
    below = step("build", process(0, "gcc", "-c", "a.c"), of=CELL)
    again = output(*records([process(0, "make"), process(1, "gcc", "-c", "b.c", parent=0)]))
    made = recorder(below)
    facts = made.take(taken(), again, "")
    assert [one.argv[-1] for one in facts.processes] == ["a.c", "make", "b.c"]
    rebuilt = made.take(taken("rebuild"), output(*records([process(0, "make")])), "")
    assert len(rebuilt.processes) == 1


def test_a_build_that_continues_with_a_forged_process_fails() -> None:
    made = recorder(step("build", of=CELL))
    facts = made.take(taken(), output(["process", 0], command(), end()), "")
    assert "is not as the agent writes it" in facts.failure


def test_a_touched_file_that_is_not_the_trees_after_the_build_is_stale() -> None:
    made = recorder()
    made.take(taken(), output(*records([file(BUILTIN, "of the kept build")])), "")
    assert made.stale("build", ["tools/perf/builtin.c", "tools/perf/Makefile"]) == [
        "tools/perf/builtin.c", "tools/perf/Makefile",
    ]  # fmt: skip
    made.take(taken("rebuild"), output(*records([file(BUILTIN, "as-in-tree")])), "")
    assert made.stale("rebuild", ["tools/perf/builtin.c"]) == []


def test_a_step_that_fails_by_its_log_keeps_its_records() -> None:
    made = recorder()
    made.take(taken(), output(*records([])), "")
    made.take(taken("database"), output(*records([file(BUILTIN)])), "")
    made.fail("database", "make printed no rules", "make: *** none\n")
    failed = made.facts["database"]
    assert (failed.failure, failed.evidence, failed.ended) == ("make printed no rules", ("make: *** none",), True)
    assert failed.files
    assert made.transcript.steps[-1].facts() == failed
