"""start-method: the generated C is the same under every multiprocessing start method, and the method took effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.scenario.plan import GENERATED, START_METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations, Process


def methods_seen(processes: tuple[Process, ...]) -> set[str]:
    """Return the start methods that the generator's children show.

    CPython starts a spawned worker as `-c from multiprocessing.spawn import spawn_main`, the fork server as `-c from
    multiprocessing.forkserver import main`, its workers and those of fork without a new program.
    """
    generators = {process.index for process in processes if perf.is_generator(process.argv)}
    servers = {
        process.index
        for process in processes
        if process.parent in generators and any("multiprocessing.forkserver" in word for word in process.argv)
    }
    seen = set()
    for process in processes:
        if process.parent in servers:
            seen.add("forkserver")
        elif process.parent in generators and any("multiprocessing.spawn" in word for word in process.argv):
            seen.add("spawn")
        elif process.parent in generators and not process.argvs:
            seen.add("fork")
    return seen


def _effect(observations: Observations) -> Iterator[Finding]:
    method = observations.scenario.cell.build.start_method or ""
    build = observations.steps["build"]
    seen = methods_seen(build.processes)
    if seen != {method}:
        yield _no_effect("build", method, seen, build.log)
    for ran in observations.steps["generate"].commands:
        wanted = set() if ran.label == "serial" else {ran.label}
        seen = methods_seen(ran.processes)
        if seen != wanted:
            yield _no_effect(f"generate {ran.label}", ran.label, seen, observations.steps["generate"].log)


def _no_effect(where: str, method: str, seen: set[str], log: str) -> Finding:
    actual = f"they show {', '.join(sorted(seen)) or 'no worker'}"
    return Finding(
        kind="no-effect",
        subject=where,
        expected=f"the generator's children show {method}",
        actual=actual,
        where=log,
    )


def _same(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["generate"]
    built = observations.steps["build"].files
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
    outputs = {path.rpartition("/")[2] for path in step.files if path.endswith(".c")}
    for name in sorted(outputs):
        reference = built.get(f"{observations.output}/{perf.TABLES_FOLDER}/{name}")
        for method in START_METHODS:
            made = step.files.get(f"{GENERATED}/{method}/{name}")
            if made is None or reference is None or made.content != reference.content:
                actual = "it was not made" if made is None or reference is None else "other bytes"
                yield Finding(
                    kind="differs",
                    subject=f"{method}/{name}",
                    expected="the bytes that the build made",
                    actual=actual,
                    where=step.log,
                )


def _examine(observations: Observations) -> Examined:
    if not observations.generator_has_pool:
        return Examined(skip="this tree's generator has no process pool")
    step = observations.steps["generate"]
    compared = sum(path.endswith(".c") for path in step.files)
    return Examined((*_effect(observations), *_same(observations)), compared, {"files compared": compared})


CHECK = Check(
    name="start-method",
    summary="the generated C is the same under spawn, forkserver, fork and serially, and the method took effect",
    owns=("generate",),
    needs=("build",),
    examine=_examine,
    processes=True,
)
