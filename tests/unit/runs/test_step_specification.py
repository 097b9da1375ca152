"""The words that the agent is told of a step, whole."""

from __future__ import annotations

import json

from matrix.engine.api import USERS
from matrix.runs import step_specification
from matrix.scenario import plan
from matrix.scenario.plan import Command, Invocation, Step

MAKE = Command(label="make", argv=("make", "-j2"), traced=True)
SAID = Command(label="options", argv=("perf", "version"), captured=True)
ENVIRONMENT = {"HOME": "/tmp/home", "LANG": "C"}  # noqa: S108 - inside the cell
ELSEWHERE = {"HOME": "/tmp/other"}  # noqa: S108 - inside the cell


def step(**more: object) -> Step:
    values = {"name": "build", "summary": "s", "environment": ENVIRONMENT, "timeout_s": 60, **more}
    return Step.model_validate(values)


def test_a_step_is_told_whole() -> None:
    told = step_specification.of(
        step(touch=("/src/a.c",), umask=0o077, keep_going=True),
        [Invocation(MAKE, ENVIRONMENT), Invocation(SAID, ELSEWHERE, "/tmp/folder")],  # noqa: S108 - inside the cell
    )
    common = {"cwd": "/src", "umask": 0o077, "timeout_s": 60, "log_bytes": plan.LOG_BYTES}
    assert told == {
        "users": USERS,
        "folders": ["/tmp/folder", "/tmp/home", "/tmp/other"],  # noqa: S108 - inside the cell
        "touch": ["/src/a.c"],
        "roots": {"source": "/layer/upper", "output": "/out"},
        "merged": "/src",
        "keep_going": True,
        "commands": [
            {"label": "make", "argv": ["make", "-j2"], "env": ENVIRONMENT, "trace": True, "capture": False, **common},
            {
                "label": "options",
                "argv": ["perf", "version"],
                "env": ELSEWHERE,
                "trace": False,
                "capture": True,
                **common,
            },
        ],
    }


def test_a_replayed_generator_runs_in_the_folder_of_perf_and_only_what_it_makes_is_looked_at() -> None:
    told = step_specification.of(step(replays="pmu-events/jevents.py"), [Invocation(MAKE, ENVIRONMENT)])
    assert told["roots"] == {"generated": plan.GENERATED}
    assert told["folders"] == sorted([plan.GENERATED, ENVIRONMENT["HOME"]])
    assert told["commands"][0]["cwd"] == "/src/tools/perf"


def test_the_data_bases_that_makes_declare_may_be_longer_than_a_log() -> None:
    told = step_specification.of(step(declares=True), [Invocation(MAKE, ENVIRONMENT)])
    assert told["commands"][0]["log_bytes"] == plan.DATABASE_BYTES > plan.LOG_BYTES


def test_with_roots_of_its_own_nothing_else_is_looked_through() -> None:
    told = step_specification.of(step(), [Invocation(MAKE, ENVIRONMENT)], {})
    assert (told["roots"], told["folders"]) == ({}, [ENVIRONMENT["HOME"]])


def test_the_agents_words_are_in_parts_that_one_argument_may_have() -> None:
    invocations = [Invocation(Command(label="long", argv=("x" * 300_000,)), ENVIRONMENT)]
    mode, *parts = step_specification.words(step(), invocations)
    assert mode == "step"
    assert max(map(len, parts)) <= step_specification.ARGUMENT_BYTES
    assert json.loads("".join(parts)) == step_specification.of(step(), invocations)
