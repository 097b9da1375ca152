"""build: it works, it is what its file expects, the program runs, and perf's own unprivileged tests pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations, Ran, StepFacts

_OPTION = re.compile(r"^\s*([\w.+-]+): \[ (on|OFF)\s*\]", re.M)
_FEATURE = re.compile(r"^feature-([\w.+-]+)=([01])$", re.M)
_TEST = re.compile(r"^\s*(\d+(?:\.\d+)*): (.*?)\s*:(?:\s*(Ok|Skip|FAILED!)[^\n]*)?\s*$", re.M)
_TERMINAL = re.compile(r"[^\n]*\r(?!\n)|\x1b\[[0-9;]*[A-Za-z]")


def _command(step: StepFacts, label: str) -> Ran | None:
    return next((ran for ran in step.commands if ran.label == label), None)


def _wanted(expected: dict[str, str], observations: Observations) -> dict[str, str]:
    """Return what is expected without what this image or this tree is known to lack."""
    cell = observations.scenario.cell
    return {name: value for name, value in expected.items() if name not in cell.image.lacks | cell.tree.lacks}


def _compare(what: str, expected: dict[str, str], found: dict[str, str], log: str) -> Iterator[Finding]:
    for name, value in expected.items():
        actual = found.get(name, "not listed")
        if actual != value:
            yield Finding(kind=what, subject=name, expected=value, actual=actual, where=log)


def _stale_lacks(observations: Observations, found: dict[str, str], log: str) -> Iterator[Finding]:
    cell = observations.scenario.cell
    for name, why in (cell.image.lacks | cell.tree.lacks).items():
        expected = {**cell.build.expect.features, **cell.build.expect.options}.get(name)
        if expected in ("on", "1") and found.get(name) == expected:
            yield Finding(kind="not-lacking", subject=name, expected=f"lacking: {why}", actual="it is there", where=log)


def last_lines(output: str) -> str:
    """Return a terminal's output as it looked in the end: what was overwritten or only coloured is gone."""
    return _TERMINAL.sub("", output)


def tests(output: str) -> list[tuple[str, str, str]]:
    """Return (number, name, outcome) of each line of `perf test`; a suite's own line has no outcome, only its cases."""
    return [(number, name, outcome) for number, name, outcome in _TEST.findall(last_lines(output))]


def _test_findings(wanted: tuple[str, ...], ran: Ran, log: str) -> Iterator[Finding]:
    lines = tests(ran.output or "")
    if ran.exit_status < 0:
        actual = f"it was ended by signal {-ran.exit_status}"
        yield Finding(kind="runs", subject="tests", expected="perf test runs to its end", actual=actual, where=log)
    for number, name, outcome in lines:
        if outcome == "FAILED!":
            yield Finding(
                kind="test",
                subject=name,
                expected="Ok",
                actual="FAILED!",
                evidence=f"perf test {number}",
                where=log,
            )
    for fragment in wanted:
        suites = {number.partition(".")[0] for number, name, _ in lines if fragment.lower() in name.lower()}
        passed = [number for number, _, outcome in lines if outcome == "Ok" and number.partition(".")[0] in suites]
        if not passed:
            yield Finding(kind="test", subject=fragment, expected="Ok", actual="no test of this name passed", where=log)


def _linkage(observations: Observations) -> Iterator[Finding]:
    expected = observations.scenario.cell.build.expect.linkage
    facts = observations.elf.get(f"{observations.output}/{perf.PROGRAM}")
    if facts is None or facts.error:
        actual = facts.error if facts else "there is no such file"
        yield Finding(kind="linkage", subject="perf", expected=f"a {expected} program", actual=actual)
        return
    parts = [
        name for name, there in (("an interpreter", facts.interpreter), ("a dynamic section", facts.dynamic)) if there
    ]
    if expected == "static" and parts:
        yield Finding(
            kind="linkage",
            subject="perf",
            expected="no interpreter, no dynamic section",
            actual=" and ".join(parts),
        )
    if expected == "dynamic" and len(parts) < 2:
        yield Finding(
            kind="linkage", subject="perf", expected="an interpreter and a dynamic section", actual="not both"
        )


def _skeletons(observations: Observations) -> Iterator[Finding]:
    expected = observations.scenario.cell.build.expect.bpf_skeletons
    found = [path for path in observations.made("build") if perf.is_skeleton(path)]
    if expected and not found:
        yield Finding(kind="skeletons", subject="*.skel.h", expected="BPF skeletons", actual="none was made")
    if not expected and found:
        yield Finding(
            kind="skeletons",
            subject="*.skel.h",
            expected="no BPF skeleton",
            actual=", ".join(sorted(found)[:5]),
        )


def _examine(observations: Observations) -> Examined:
    build = observations.scenario.cell.build
    step = observations.steps["self-test"]
    findings: list[Finding] = []
    found: dict[str, str] = {}
    for label, pattern in (("options", _OPTION), ("features", _FEATURE)):
        ran = _command(step, label)
        if ran is None or ran.exit_status:
            actual = f"exit status {ran.exit_status}" if ran else "it was not run"
            findings.append(
                Finding(kind="runs", subject=label, expected="exit status 0", actual=actual, where=step.log)
            )
            continue
        values = dict(pattern.findall(ran.output or ""))
        found |= values
        wanted = build.expect.options if label == "options" else build.expect.features
        findings += _compare(label.removesuffix("s"), _wanted(dict(wanted), observations), values, step.log)
    findings += _stale_lacks(observations, found, step.log)
    tested = _command(step, "tests")
    if tested is not None:
        findings += _test_findings(observations.scenario.cell.perf_tests, tested, step.log)
    findings += [*_linkage(observations), *_skeletons(observations), *_left_running(observations)]
    unlisted = sorted(name for name, value in found.items() if value == "on" and name not in build.expect.options)
    figures: dict[str, int | float | str] = {
        "options and features": len(found),
        "tests passed": sum(outcome == "Ok" for _, _, outcome in tests((tested.output or "") if tested else "")),
    }
    if unlisted:
        figures["on, and not in the build's file"] = ", ".join(unlisted)
    return Examined(tuple(findings), len(found), figures)


def _left_running(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["build"]
    for ran in step.commands:
        for argv in ran.left_running:
            yield Finding(
                kind="left-running",
                subject=argv[0],
                expected="no process outlives make",
                actual=" ".join(argv)[:200],
                where=step.log,
            )


CHECK = Check(
    name="build",
    summary="it builds, is what its file expects, runs, and passes perf's own unprivileged tests",
    owns=("build", "self-test"),
    needs=(),
    examine=_examine,
)
