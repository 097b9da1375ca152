"""From observations to a verdict: runs every check, and tells known failures from new ones. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, registry
from matrix.model.cell import matches
from matrix.model.result import CheckResult, Finding, StepResult, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.model.known_failure import KnownFailure
    from matrix.scenario.observations import Observations, StepFacts


def judge(observations: Observations, known: Sequence[KnownFailure]) -> tuple[CheckResult, ...]:
    """Return what every check says of a cell."""
    return tuple(one(check, observations, known) for check in registry().values())


def one(check: Check, observations: Observations, known: Sequence[KnownFailure]) -> CheckResult:
    """Return what one check says of a cell: nothing where a step that it needs was not done, FAIL where its own was."""
    entries = entries_for(check.name, observations, known)
    for name in (*check.owns, *check.needs):
        step = observations.steps.get(name)
        if step is None or (step.failure and name not in check.owns):
            return CheckResult(check=check.name, verdict=Verdict.SKIP, reason=_why_not(name, observations))
        if step.failure:
            outcome = Examined((_failed(step),), examined=1)
            return with_known(check.name, outcome, entries)
    if check.processes and not observations.steps["build"].traced:
        reason = "ptrace is forbidden here, so what was run cannot be seen"
        return CheckResult(check=check.name, verdict=Verdict.SKIP, reason=reason)
    return with_known(check.name, check.examine(observations), entries)


def _why_not(name: str, observations: Observations) -> str:
    planned = {step.name for step in observations.scenario.steps}
    if name not in planned:
        return f"this build has no step {name}"
    failed = [f"step {step.step.name} failed: {step.failure}" for step in observations.steps.values() if step.failure]
    return failed[0] if failed else f"step {name} was not run"


def _failed(step: StepFacts) -> Finding:
    return Finding(
        kind="step-failed",
        subject=step.step.name,
        expected="the step does what it is to do",
        actual=step.failure,
        evidence="\n".join(step.evidence),
        where=step.log,
    )


def entries_for(check: str, observations: Observations, known: Sequence[KnownFailure]) -> list[KnownFailure]:
    """Return the known failures that speak of this check in this cell."""
    cell = observations.scenario.cell
    return [
        entry
        for entry in known
        if entry.check == check
        and any(
            fnmatchcase(cell.tree.name, tree) or f"{observations.tree_version}.".startswith(f"{tree}.")
            for tree in entry.trees
        )
        and any(matches(cell.id, glob) for glob in entry.cells)
    ]


def with_known(check: str, outcome: Examined, entries: Sequence[KnownFailure]) -> CheckResult:
    """Return a check's result: each finding known or not; a listed one that does not occur is a finding itself."""
    if outcome.skip:
        return CheckResult(check=check, verdict=Verdict.SKIP, reason=outcome.skip, figures=outcome.figures)
    if not outcome.examined and not outcome.findings:
        reason = "the check examined nothing, which proves nothing"
        return CheckResult(check=check, verdict=Verdict.FAIL, reason=reason, figures=outcome.figures)
    patterns = [(pattern, entry) for entry in entries for pattern in entry.findings]
    findings = [_matched(finding, patterns) for finding in outcome.findings]
    findings += [
        Finding(
            kind="known-failure-gone",
            subject=pattern,
            expected="the finding that known-failures.yaml lists",
            actual="it no longer occurs",
            evidence=entry.why,
        )
        for pattern, entry in patterns
        if not entry.intermittent and not any(fnmatchcase(finding.key, pattern) for finding in outcome.findings)
    ]
    return CheckResult(
        check=check,
        verdict=_verdict(findings),
        findings=tuple(findings),
        examined=outcome.examined,
        figures=outcome.figures,
    )


def _matched(finding: Finding, patterns: Iterable[tuple[str, KnownFailure]]) -> Finding:
    why = next((entry.why for pattern, entry in patterns if fnmatchcase(finding.key, pattern)), "")
    return finding.model_copy(update={"known": why}) if why else finding


def _verdict(findings: Sequence[Finding]) -> Verdict:
    if not findings:
        return Verdict.PASS
    return Verdict.XFAIL if all(finding.known for finding in findings) else Verdict.FAIL


def overall(checks: Sequence[CheckResult]) -> Verdict:
    """Return a cell's verdict: the worst of its checks'; where all were skipped nothing was shown: an ERROR."""
    verdicts = [check.verdict for check in checks if check.verdict != Verdict.SKIP]
    return worst(verdicts)


def steps(observations: Observations) -> tuple[StepResult, ...]:
    """Return what became of each step of the scenario, those that were not run included."""
    return tuple(
        _step(observations, step.name) if step.name in observations.steps else StepResult(
            name=step.name,
            command=step.text,
            verdict=Verdict.SKIP,
            reason=_why_not(step.name, observations),
        )
        for step in observations.scenario.steps
    )  # fmt: skip


def _step(observations: Observations, name: str) -> StepResult:
    facts = observations.steps[name]
    first = facts.commands[0] if facts.commands else None
    return StepResult(
        name=name,
        command=facts.step.text,
        verdict=Verdict.FAIL if facts.failure else Verdict.PASS,
        reason=facts.failure,
        exit_status=first.exit_status if first else None,
        wall_s=round(sum(ran.wall_s for ran in facts.commands), 3),
        user_s=round(sum(ran.user_s for ran in facts.commands), 3),
        system_s=round(sum(ran.system_s for ran in facts.commands), 3),
        rss_bytes=max((ran.rss_bytes for ran in facts.commands), default=0),
        processes=sum(len(ran.processes) for ran in facts.commands) if facts.traced else None,
        files_changed=len(observations.changed(name))
        if name in observations.previous
        else len(observations.made(name)),
        log=facts.log,
    )
