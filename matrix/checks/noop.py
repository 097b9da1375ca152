"""no-op: a second make changes no file and runs no compiler, linker, generator or install command."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.command_lines import maker, text, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations, Process, StepFacts

LISTED = 12


def _absent_feature(path: str, step: StepFacts) -> str:
    """Return the feature test that a path belongs to, if the test failed again, as for what is not installed.

    tools/build can only cache a detection as a target that is there, so it tries the others again at each make. One
    that succeeds and leaves no target is another matter: the status of the recipe that made the attempt tells.
    """
    test = perf.feature_test(path)
    if not test or any(other.endswith(f"/{test}.bin") for other in step.files):
        return ""
    tries = [process for process in step.processes if _tries(process, test)]
    indexes = {process.index for process in tries}
    return "" if any(process.status == 0 for process in tries if process.parent not in indexes) else test


def _tries(process: Process, test: str) -> bool:
    """Return whether a process is one of a feature test's: its recipe's shell, or what that runs.

    The makes that are told to make the test name its target alone.
    """
    named = perf.feature_inputs(test)
    return any(named.search(word) for word in process.argv)


def _finding(observations: Observations, kind: str, subject: str, actual: str, evidence: str) -> Finding:
    step = observations.steps["rebuild"]
    absent = _absent_feature(subject, step)
    if absent:
        return Finding(
            kind="retried-feature",
            subject=absent,
            expected="no compiler runs, no change",
            actual="a feature that is not there was looked for again",
            evidence=evidence,
            where=step.log,
        )
    expected = "no change" if kind == "changed" else f"no {kind.removeprefix('ran-')} runs"
    return Finding(kind=kind, subject=subject, expected=expected, actual=actual, evidence=evidence, where=step.log)


def _changes(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["rebuild"]
    for path, way in observations.changed("rebuild").items():
        made = maker(step, path)
        yield _finding(observations, "changed", path, way, f"made by: {made}" if made else "")
    for path in step.missing:
        if path not in observations.steps["build"].missing:
            yield _finding(observations, "changed", f"/src/{path}", "removed", "")


def _tested(process: Process) -> str:
    """Return the `.bin` that a feature test's compiler works for: one source can be tested in several ways."""
    found = map(perf.feature_target, process.argv)
    return next((f"/feature/{test}.bin" for test in found if test), "")


def _work(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["rebuild"]
    seen: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for process in step.processes:
        done = work(process)
        if done and "/feature/" in done[1]:
            done = done[0], _tested(process) or done[1]
        if done:
            seen[done] += 1
            first.setdefault(done, text(process))
    for (kind, target), count in sorted(seen.items()):
        actual = f"{count} run{'s' if count > 1 else ''}"
        yield _finding(observations, f"ran-{kind}", target, actual, first[kind, target])


def _examine(observations: Observations) -> Examined:
    step = observations.steps["rebuild"]
    programs = Counter(process.program or "(fork)" for process in step.processes)
    figures: dict[str, int | float | str] = {
        "files": len(step.files),
        "processes": len(step.processes),
        "programs": ", ".join(f"{name} {count}" for name, count in programs.most_common(LISTED)),
        "wall_s": round(sum(ran.wall_s for ran in step.commands), 2),
        "preprocessor queries": sum(
            "-E" in process.argv and posixpath.basename(process.argv[0]).startswith("cc1")
            for process in step.processes
            if process.argv
        ),
    }
    findings = (*_work(observations), *_changes(observations))
    found = {finding.key: finding for finding in findings}
    return Examined(tuple(found[key] for key in sorted(found)), len(step.files), figures)


CHECK = Check(
    name="no-op",
    summary="a second make changes no file and runs no compiler, linker, generator or install command",
    owns=("rebuild",),
    needs=("build",),
    examine=_examine,
    processes=True,
)
