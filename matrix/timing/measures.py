"""The measures of a tree: for each, the step to time, derived from the traced build, and the counts beside it. Pure."""

from __future__ import annotations

import posixpath
import shlex
from typing import TYPE_CHECKING

from matrix.scenario import perf, plan
from matrix.trace import cost, file_access
from matrix.trace.command_lines import generator_argv
from matrix.trace.timeline import of_step
from matrix.verdicts.comparison import Counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.cell import Cell
    from matrix.scenario.plan import Step
    from matrix.scenario.step_facts import Process, StepFacts

FOLDER = "/tmp/measured"  # noqa: S108 - inside the cell
TRACED = {"build": "build", "no-op": "rebuild", "one-file": "touch-source"}
"""The step of a scenario that is traced once to count the processes of a measure."""


def counted(facts: StepFacts) -> Counted:
    """Return the counts of a traced step, which do not vary from run to run."""
    found = cost.account(of_step(facts))
    return Counted(
        processes=found.processes,
        shell_processes=found.shell_processes,
        compiler_runs=found.compiler_runs,
        parses=found.parses,
    )


def table_compilers(processes: Sequence[Process]) -> list[tuple[str, ...]]:
    """Return the command lines that compiled the event tables in a build, one for each compilation unit."""
    found: dict[str, tuple[str, ...]] = {}
    for process in processes:
        words = process.argv
        # The driver's command can be run again; cc1 and `clang -cc1` work on temporary files of the driver.
        is_driver = {"-c", "-o"} <= set(words) and "-cc1" not in words
        if is_driver:
            for path in filter(perf.is_table_object, file_access.of(process).writes):
                found.setdefault(path, words)
    return list(found.values())


def steps(build: Step, cell: Cell, facts: StepFacts) -> dict[str, Step]:
    """Return a step for each measure that this tree has, by the measure's name.

    The steps are derived from the step `build` and from its facts: the commands of the generator and of the compilers
    of tables are those of the trace, with their outputs in FOLDER.
    """
    make = build.commands[0].model_copy(update={"traced": False})  # a traced build is 2 to 8 % slower
    generator = generator_argv(facts, posixpath.basename(perf.GENERATOR))
    compilers = table_compilers(facts.processes)
    scripts = {
        "generate": shlex.join(plan.into(FOLDER, generator)) if generator else "",
        "tables": _at_once([_into(words) for words in compilers]) if compilers else "",
    }
    planned: dict[str, tuple[plan.Command, tuple[str, ...]]] = {
        "build": (make, ()),
        "no-op": (make, ()),
        "one-file": (make, (perf.in_cell(cell.tree.touch_source),)),
    }
    for name, script in scripts.items():
        argv = ("sh", "-c", f"mkdir -p {FOLDER} && cd {perf.FOLDER} && {script}")
        if script:
            planned[name] = (plan.Command(label=name, argv=argv), ())
    return {
        name: build.model_copy(update={"name": name, "commands": (command,), "touch": touched})
        for name, (command, touched) in planned.items()
    }


def _into(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a compiler's command line with its output in FOLDER, so that the tree's own object stays as it is."""
    place = words.index("-o") + 1
    return (*words[:place], f"{FOLDER}/{posixpath.basename(words[place])}", *words[place + 1 :])


def _at_once(commands: Sequence[tuple[str, ...]]) -> str:
    """Return a script that runs commands at the same time, as make with enough jobs does, and fails if one fails."""
    # `wait PID` has the exit status of its command, a plain `wait` would be 0 (POSIX.1-2017, XCU `wait`).
    starts = " ".join(f"{shlex.join(words)} & p{number}=$!;" for number, words in enumerate(commands))
    waits = " && ".join(f"wait $p{number}" for number in range(len(commands)))
    return f"{{ {starts} {waits}; }}"
