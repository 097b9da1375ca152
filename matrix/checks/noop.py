"""no-op: a second make changes no file and runs no compiler, linker, generator or install command."""

from __future__ import annotations

import itertools
import posixpath
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures, made_by
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.command_lines import text
from matrix.trace.work import INSTALL, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import Process, StepFacts

LISTED = 12
"""The programs that a figure names, the most frequent first."""


class _Rebuild:
    """The step of the second make and the feature tests that it tried; each file and command line is looked at once."""

    def __init__(self, step: StepFacts) -> None:
        self.step = step
        self._targets = {posixpath.basename(path).removesuffix(".bin") for path in step.files if path.endswith(".bin")}
        self._tries: dict[str, dict[int, Process]] = defaultdict(dict)
        for process in step.processes:
            for test in _tried(process):
                self._tries[test][process.index] = process

    def finding(self, kind: str, subject: str, actual: str, evidence: str) -> Finding:
        """Return a finding of the check: one for an absent feature, if the subject belongs to its test."""
        absent = self._absent_feature(subject)
        if absent:
            return Finding(
                kind="retried-feature",
                subject=absent,
                expected="no compiler runs, no change",
                actual="a feature that is not there was looked for again",
                evidence=evidence,
                where=self.step.log,
            )
        expected = "no change" if kind == "changed" else f"no {kind.removeprefix('ran-')} runs"
        return Finding(
            kind=kind, subject=subject, expected=expected, actual=actual, evidence=evidence, where=self.step.log
        )

    def _absent_feature(self, path: str) -> str:
        """Return the feature test that a path belongs to, if the test failed again: its library is not installed.

        tools/build keeps a detection as the target `test-NAME.bin`, so that a test which fails is tried again at each
        make (tools/build/feature/Makefile). A test that succeeds and leaves no target is a fault of the build: the
        status of the recipe tells the two apart.
        """
        test = perf.feature_test(path)
        if not test or test in self._targets or self._succeeded(test):
            return ""
        return test

    def _succeeded(self, test: str) -> bool:
        """Return whether a recipe that tried a feature test ended with status 0."""
        tries = self._tries.get(test, {})
        recipes = [process for process in tries.values() if process.parent not in tries]
        return any(recipe.status == 0 for recipe in recipes)


def _tried(process: Process) -> frozenset[str]:
    """Return the feature tests of whose recipe a process is the shell, or a process that the shell runs.

    Both name the test's source or log. A make that is told to make the test names its target, and is none of them.
    """
    return frozenset(itertools.chain.from_iterable(map(perf.feature_inputs, process.argv)))


def _changes(observations: Observations, rebuild: _Rebuild) -> Iterator[Finding]:
    step = observations.steps["rebuild"]
    for path, way in observations.changed("rebuild").items():
        yield rebuild.finding("changed", path, way, made_by(step, path))
    removed_by_build = set(observations.steps["build"].missing)
    for path in step.missing:
        if path not in removed_by_build:
            yield rebuild.finding("changed", perf.in_cell(path), "removed", "")


def _target(process: Process, target: str) -> str:
    """Return the target of a process's work: for a feature test its `.bin`, as several tests share one source."""
    if "/feature/" not in target:
        return target
    tests = filter(None, map(perf.feature_target, process.argv))
    test = next(tests, "")
    return f"/feature/{test}.bin" if test else target


def _work(rebuild: _Rebuild, *, is_to_install: bool) -> Iterator[Finding]:
    """Yield each kind of work and its target that the second make did, with its first command line.

    A make that is told to install does so each time, out of the folders that it builds in.
    """
    command_lines: dict[tuple[str, str], list[str]] = defaultdict(list)
    for process in rebuild.step.processes:
        done = work(process)
        if done and not (is_to_install and _is_installed(*done)):
            kind, target = done
            command_lines[kind, _target(process, target)].append(text(process))
    for (kind, target), runs in sorted(command_lines.items()):
        count = f"{len(runs)} run" if len(runs) == 1 else f"{len(runs)} runs"
        yield rebuild.finding(f"ran-{kind}", target, count, runs[0])


def _is_installed(kind: str, target: str) -> bool:
    return kind == INSTALL and not target.startswith((perf.SOURCE, perf.OUTPUT))


def _examine(observations: Observations) -> Examined:
    step = observations.steps["rebuild"]
    programs = Counter(process.program or "(fork)" for process in step.processes)
    figures: Figures = {
        "files": len(step.files),
        "processes": len(step.processes),
        "programs": ", ".join(f"{name} {count}" for name, count in programs.most_common(LISTED)),
        "wall_s": round(sum(ran.wall_s for ran in step.commands), 2),
        "preprocessor queries": sum(map(_is_preprocessor_query, step.processes)),
    }
    rebuild = _Rebuild(step)
    # An absent feature is found once for each of its files and commands: the last of one key stands for all.
    is_to_install = perf.installs(observations.scenario.cell.build.goals)
    work_done = _work(rebuild, is_to_install=is_to_install)
    by_key = {finding.key: finding for finding in (*work_done, *_changes(observations, rebuild))}
    findings = tuple(by_key[key] for key in sorted(by_key))
    return Examined(findings, len(step.files), figures)


def _is_preprocessor_query(process: Process) -> bool:
    """Return whether a process is the compiler of `gcc -dM -E` and its like, which compiles nothing."""
    return process.program.startswith("cc1") and "-E" in process.argv


CHECK = Check(
    name="no-op",
    summary="a second make changes no file and runs no compiler, linker, generator or install command",
    owns=("rebuild",),
    needs=("build",),
    examine=_examine,
    processes=True,
)
