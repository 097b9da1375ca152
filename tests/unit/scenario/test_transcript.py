from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.build import Expect
from matrix.scenario.transcript import EVIDENCE_LINES, StepRecord, Transcript, records, stacked, trouble
from matrix.verdicts import judge
from tests.unit.conftest import Record, build, cell, command, end, file, mention, observations, process, step

if TYPE_CHECKING:
    from matrix.scenario.observations import Observations


def test_the_agents_lines_are_its_records() -> None:
    output = b'["process", 0, {}]\n["end", {"oom_kills": 0}]\n'
    assert records(output) == ([["process", 0, {}], ["end", {"oom_kills": 0}]], "")


def test_no_output_is_no_record() -> None:
    assert records(b"") == ([], "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Segmentation fault", "no JSON"),
        (b'["end", {', "no JSON"),
        (b'["\xff"]', "no JSON"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[" + b"1" * 5000 + b"]", "no JSON"),
        (b'{"end": 1}', "no record"),
        (b"[]", "no record"),
        (b"[1]", "no record"),
        (b'"end"', "no record"),
    ],
)
def test_a_line_that_is_none_of_the_agents_is_told_with_its_number(line: bytes, why: str) -> None:
    found, error = records(b'["listing", ".", []]\n' + line + b'\n["end", {}]\n')
    assert found == [["listing", ".", []]]
    assert error == f"line 2 of the step's facts is {why}"


def corrupted(record: Record, key: str, value: Any) -> Record:
    facts = record[-1]
    return [*record[:-1], {**facts, key: value}]


MISSHAPEN: dict[str, Record] = {
    "process without facts": ["process", 0],
    "process alone": ["process"],
    "process with a list": ["process", 0, []],
    "process with too little": ["process", 0, {"argvs": []}],
    "process with more": corrupted(process(0), "more", 1),
    "command alone": ["command"],
    "command with nothing": ["command", {}],
    "command with a number": ["command", 7],
    "command with more": corrupted(command(), "more", 1),
    "file without facts": ["file", "source", "a"],
    "file elsewhere": ["file", "elsewhere", "a", file("/src/a")[3]],
    "file with a number for a path": ["file", "source", 7, file("/src/a")[3]],
    "file with nothing": ["file", "source", "a", {}],
    "mention without words": ["mention", "source", "a"],
    "mention of a number": ["mention", "source", "a", 7],
    "unreadable without a reason": ["unreadable", "/a"],
    "end alone": ["end"],
    "end with nothing": ["end", {}],
}

MISTYPED: dict[str, Record] = {
    "start": corrupted(process(0, "make"), "start", "soon"),
    "argvs": corrupted(process(0, "make"), "argvs", [[1, 2]]),
    "cwd": corrupted(process(0, "make"), "cwd", 7),
    "parent": corrupted(process(0, "make"), "parent", [0]),
    "exit status": corrupted(command(), "exit_status", "0"),
    "wall_s": corrupted(command(), "wall_s", "long"),
    "rss_bytes": corrupted(command(), "rss_bytes", None),
    "output": corrupted(command(), "output", 7),
    "free_bytes": corrupted(command(), "free_bytes", "none"),
    "mtime_ns": corrupted(file("/src/a"), "mtime_ns", "yesterday"),
    "content": corrupted(file("/src/a"), "content", ["1"]),
    "type": corrupted(file("/src/a"), "type", 7),
    "mentioned word": ["mention", "source", "a", [7]],
    "oom_kills without end": ["end", {"oom_kills": float("inf"), "fork_failures": 0}],
    "oom_kills in words": ["end", {"oom_kills": "many", "fork_failures": 0}],
}

EMPTY: dict[str, Record] = {
    "argvs": corrupted(process(0, "make"), "argvs", [[]]),
    "argv": corrupted(command(exit_status=1), "argv", []),
    "left_running": corrupted(command(), "left_running", [[]]),
}


@pytest.mark.parametrize("record", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_a_record_of_another_shape_is_the_steps_failure(record: Record) -> None:
    assert "is not as the agent writes it" in failure(record)


@pytest.mark.parametrize("record", MISTYPED.values(), ids=MISTYPED.keys())
def test_a_record_with_values_of_another_type_is_the_steps_failure(record: Record) -> None:
    assert failure(record)


def failure(record: Record) -> str:
    whole = step("build")
    kept = [record, *(other for other in whole.records if other[0] != record[0])]
    return whole.model_copy(update={"records": kept}).facts().failure


@pytest.mark.parametrize(
    "record",
    [*MISSHAPEN.values(), *MISTYPED.values(), *EMPTY.values()],
    ids=[*MISSHAPEN, *MISTYPED, *(f"empty {name}" for name in EMPTY)],
)
def test_no_record_makes_a_check_fall_over(record: Record) -> None:
    seen = observations(steps={name: [record, command(), file("/src/a")] for name in ("build", "rebuild", "clean")})
    judge.check_results(seen, [])
    judge.step_results(seen)


def test_a_record_of_a_kind_that_is_not_ours_is_left_out() -> None:
    facts = step("build", ["later", 1, 2]).facts()
    assert facts.failure == ""
    assert facts.files == {}


def saved_and_read(transcript: Transcript) -> Observations:
    text = json.dumps(transcript.model_dump(mode="json"))
    return Transcript.model_validate_json(text).observations()


def one_of_everything() -> StepRecord:
    return step(
        "build",
        process(0, "make"),
        command(),
        file("/src/a", "1"),
        mention("/src/.a.o.cmd", "a.c"),
        end(),
        missing=("gone",),
    )


def transcript_of(*steps: StepRecord) -> Transcript:
    lower: dict[str, tuple[int, str]] = {"/src/a": (0o644, "0")}
    scenario = observations().scenario
    return Transcript(scenario=scenario, ignore={"": "*.o"}, generator_has_pool=True, steps=list(steps), lower=lower)


def test_a_saved_transcript_stands_for_the_same_observations() -> None:
    transcript = transcript_of(one_of_everything())
    assert saved_and_read(transcript) == transcript.observations()
    assert saved_and_read(transcript).steps["build"].missing == ("gone",)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return (
        [value]
        if isinstance(value, str)
        else [one for part in value for one in strings(part)]
        if isinstance(value, list)
        else []
    )


@pytest.mark.parametrize(
    "line",
    [
        rb'["unreadable", "caf\udce9", ""]',
        rb'["unreadable", "caf\uDCE9", ""]',
        b'["unreadable", "caf\xed\xb3\xa9", ""]',
        rb'["later", {"\udce9": ["\ud800"]}]',
    ],
)
def test_no_record_holds_what_cannot_be_written_as_utf_8(line: bytes) -> None:
    found, error = records(line)
    assert found or error
    for one in strings(found):
        one.encode()


def test_names_that_are_no_utf_8_are_told_apart() -> None:
    one, two = (records(json.dumps(["unreadable", name, ""]).encode())[0] for name in ("caf\udce9", "caf\udce8"))
    assert one != two


def test_a_file_name_that_is_no_utf_8_survives_being_saved_and_judged() -> None:
    name = "/src/caf\udce9"
    said = [process(0, "touch", name), command(), file(name), end()]
    found, error = records(b"\n".join(json.dumps(record).encode() for record in said))
    assert not error
    seen = saved_and_read(transcript_of(step("build", *found)))
    [path] = seen.steps["build"].files
    assert path.startswith("/src/caf")
    for check in judge.check_results(seen, []):
        check.model_dump_json()


def test_facts_that_are_at_hand_are_not_read_again() -> None:
    transcript = transcript_of(one_of_everything())
    facts = one_of_everything().facts()
    assert transcript.observations({"build": facts}).steps["build"] is facts
    assert transcript.observations({"clean": facts}).steps["build"] == facts


def test_a_transcript_of_another_version_is_refused() -> None:
    saved = {**transcript_of().model_dump(mode="json"), "version": 2}
    with pytest.raises(ValueError, match="version"):
        Transcript.model_validate_json(json.dumps(saved))


def test_a_transcript_can_be_judged_as_one_of_a_cell_that_expects_something_else() -> None:
    other = cell(what=build(expect=Expect(linkage="static")))
    moved = transcript_of(one_of_everything()).with_cell(other)
    assert moved.observations().scenario.cell == other
    assert moved.steps == transcript_of(one_of_everything()).steps


def test_what_a_log_says_of_the_trouble_is_the_steps_evidence() -> None:
    record = one_of_everything().model_copy(update={"evidence": ("a.c:1: error: x",)})
    assert record.facts().evidence == ("a.c:1: error: x",)


def test_the_lines_that_speak_of_trouble_and_the_last_ones_are_kept_once_each() -> None:
    noise = [f"  CC x{number}.o" for number in range(20)]
    log = [*noise, "a.c:1:2: error: no", "", "make: *** [a.o] Error 1   ", *noise]
    kept = trouble("\n".join(log))
    assert kept == ("a.c:1:2: error: no", "make: *** [a.o] Error 1", *noise[-EVIDENCE_LINES:])
    assert trouble("one\n") == ("one",)
    assert trouble("") == ()


def test_the_lines_are_in_the_logs_order() -> None:
    log = ["a.c:1:2: error: no", "    1 | #error no", "      |  ^~~~~", "make: *** [a.o] Error 1"]
    assert trouble("\n".join(log)) == tuple(log)


def test_no_more_lines_than_a_few_are_kept() -> None:
    assert len(trouble("\n".join(f"error: {number}" for number in range(100)))) == 2 * EVIDENCE_LINES


def test_a_build_that_was_gone_on_with_has_the_processes_of_both() -> None:
    below = [process(0, "make"), process(1, "cc", parent=0), command(), process(2, "other"), file("/src/a"), end()]
    above = [process(0, "make"), process(1, "ld", parent=0), command(exit_status=2), file("/src/b"), end()]
    found = stacked(below, above)
    assert [(record[1], record[2]["argvs"][0][0], record[2]["parent"]) for record in found[:4]] == [
        (0, "make", None),
        (1, "cc", 0),
        (2, "make", None),
        (3, "ld", 2),
    ]
    assert found[4:] == above[2:]
    assert stacked([], above) == above


@pytest.mark.parametrize("rest", [[], ["1", {"parent": None}], [1, {}], [1, 2]])
def test_a_forged_process_is_an_error(rest: list[Any]) -> None:
    good = [process(0, "make"), command(), end()]
    with pytest.raises(ValueError, match="not as the agent writes it"):
        stacked(good, [["process", *rest], *good])


def test_a_python_exception_is_what_went_wrong() -> None:
    log = "\n".join(["AttributeError: Can't get local object", *(f"line {number}" for number in range(50))])
    assert trouble(log)[0] == "AttributeError: Can't get local object"
