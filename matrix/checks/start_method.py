"""start-method: the generated C is the same under every multiprocessing start method, and the method took effect."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.scenario.plan import GENERATED, START_METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import File, Process, StepFacts


def methods_seen(processes: tuple[Process, ...]) -> set[str]:
    """Return the start methods that the generator's child processes show.

    CPython starts a spawned worker as `-c from multiprocessing.spawn import spawn_main`, the fork server as `-c from
    multiprocessing.forkserver import main`, its workers and those of fork without a new program
    (Lib/multiprocessing/spawn.py and forkserver.py, 3.4 and later).
    """
    generators = [process for process in processes if perf.is_generator(process.argv)]
    children = _children(processes, generators)
    seen = set(map(_start_method, children)) - {""}
    servers = [child for child in children if _mentions("multiprocessing.forkserver", child)]
    if _children(processes, servers):  # the method took effect where the server started a worker
        seen.add("forkserver")
    return seen


def _children(processes: Iterable[Process], parents: Iterable[Process]) -> list[Process]:
    indexes = {parent.index for parent in parents}
    return [process for process in processes if process.parent in indexes]


def _start_method(child: Process) -> str:
    """Return the start method of a generator's child by its command line; empty where that shows none."""
    if _mentions("multiprocessing.spawn", child):
        return "spawn"
    return "" if child.argvs else "fork"


def _mentions(module: str, process: Process) -> bool:
    """Return whether a word of a process's command line holds the name of a Python module."""
    return any(module in word for word in process.argv)


def _effect(observations: Observations) -> Iterator[Finding]:
    """Yield each run of the generator whose child processes show another start method than the forced one."""
    method = observations.scenario.cell.build.start_method or ""
    again, generate = observations.steps["regenerate"], observations.steps["generate"]
    seen = methods_seen(again.processes)
    if seen != {method}:
        yield _no_effect("regenerate", method, seen, again.log)
    for ran in generate.commands:
        seen = methods_seen(ran.processes)
        if seen != {ran.label} - {"serial"}:  # without a pool there is no child
            yield _no_effect(f"generate {ran.label}", ran.label, seen, generate.log)


def _no_effect(where: str, method: str, seen: set[str], log: str) -> Finding:
    actual = f"they show {', '.join(sorted(seen)) or 'no worker'}"
    return Finding(
        kind="no-effect",
        subject=where,
        expected=f"the generator's children show {method}",
        actual=actual,
        where=log,
    )


def _failures(step: StepFacts) -> Iterator[Finding]:
    """Yield the runs of the generator that failed."""
    for ran in step.commands:
        if ran.exit_status:
            yield Finding(
                kind="fails",
                subject=ran.label,
                expected="exit status 0",
                actual=f"exit status {ran.exit_status}",
                evidence=" ".join(ran.argv),
                where=step.log,
            )


def _outputs(step: StepFacts) -> list[str]:
    """Return the paths of the C files that the generator wrote under all start methods."""
    return [path for path in step.files if path.endswith(".c")]


def _differences(observations: Observations) -> Iterator[Finding]:
    """Yield each C file that is not the build's when made again, or under one of the start methods."""
    again, generate = observations.steps["regenerate"], observations.steps["generate"]
    built = observations.steps["build"].files
    for name in sorted(set(map(posixpath.basename, _outputs(generate)))):
        path = f"{observations.output}/{perf.TABLES_FOLDER}/{name}"
        yield from _other_bytes(f"{again.step.name}/{name}", again.files.get(path), built.get(path), again.log)
        for method in START_METHODS:
            made = generate.files.get(f"{GENERATED}/{method}/{name}")
            yield from _other_bytes(f"{method}/{name}", made, built.get(path), generate.log)


def _other_bytes(subject: str, made: File | None, reference: File | None, log: str) -> Iterator[Finding]:
    difference = _difference(made, reference)
    if difference:
        expected = "the bytes that the build made"
        yield Finding(kind="differs", subject=subject, expected=expected, actual=difference, where=log)


def _difference(made: File | None, reference: File | None) -> str:
    """Return how a generated file differs from the build's, or nothing."""
    if made is None or reference is None:
        return "it was not made"
    return "" if made.content == reference.content else "other bytes"


def _examine(observations: Observations) -> Examined:
    if not observations.generator_has_pool:
        return Examined(skip="this tree's generator has no process pool")
    step = observations.steps["generate"]
    compared = len(_outputs(step))
    findings = (*_effect(observations), *_failures(step), *_differences(observations))
    return Examined(findings, compared, {"files compared": compared})


CHECK = Check(
    name="start-method",
    summary="the generated C is the same under spawn, forkserver, fork and serially, and the method took effect",
    owns=("regenerate", "generate"),
    needs=("build",),
    examine=_examine,
    processes=True,
)
