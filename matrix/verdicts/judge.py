"""Results of a cell: every check's by the cell's observations, with known failures marked; every step's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, registry
from matrix.model import globs
from matrix.model.globs import matches_any, selects_any
from matrix.model.result import (
    KNOWN_FAILURE_GONE,
    STEP_FAILED,
    TOO_MANY,
    CheckResult,
    Finding,
    StepResult,
    Verdict,
    worst,
)
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.model.known_failure import KnownFailure
    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts


FINDINGS = 5_000
"""The most findings of a check that are kept, all of which reports print. The worst build of perf that is known, whose
clean removes the tree's own files, has 984."""


def check_results(observations: Observations, known: Sequence[KnownFailure]) -> tuple[CheckResult, ...]:
    """Return the result of every check on a cell, in the order of the checks' names."""
    return tuple(check_result(check, observations, known) for check in registry().values())


def check_result(check: Check, observations: Observations, known: Sequence[KnownFailure]) -> CheckResult:
    """Return the result of one check on a cell.

    A failed step that the check owns is its finding. A check is skipped where a step that it needs failed or was not
    run, and where it examines processes that could not be followed.
    """
    obstacle = _first_obstacle(check, observations)
    if obstacle:
        return _result_at_obstacle(check, obstacle, observations, known)
    if _lacks_processes(check, observations):
        reason = "ptrace is forbidden here, so the processes of the steps are not known"
        return CheckResult(check=check.name, verdict=Verdict.SKIP, reason=reason)
    return _with_known_failures(check, observations, check.examine(observations), known)


def _first_obstacle(check: Check, observations: Observations) -> str:
    """Return the first of the steps that a check owns or needs that failed or was not run; empty where all are done."""
    planned = {step.name for step in observations.scenario.steps}
    lacking = set(check.may_lack) - planned
    names = (*check.owns, *check.needs)  # its own first: their failure is its finding, and no reason to skip it
    wanted = (name for name in names if name not in lacking)
    return next((name for name in wanted if _is_obstacle(observations.steps.get(name))), "")


def _is_obstacle(step: StepFacts | None) -> bool:
    return step is None or bool(step.failure)


def _result_at_obstacle(
    check: Check, obstacle: str, observations: Observations, known: Sequence[KnownFailure]
) -> CheckResult:
    """Return the result of a check whose step failed, which is its finding if it owns the step, or was not run."""
    step = observations.steps.get(obstacle)
    if step and obstacle in check.owns:
        return _with_known_failures(check, observations, Examined((_failed_step(step),), examined=1), known)
    return CheckResult(check=check.name, verdict=Verdict.SKIP, reason=_why_not_run(obstacle, observations))


def _lacks_processes(check: Check, observations: Observations) -> bool:
    return check.processes and not observations.steps["build"].traced


def cell_verdict(checks: Sequence[CheckResult]) -> Verdict:
    """Return a cell's verdict: the worst of its checks'. Where every check was skipped it is an ERROR."""
    return worst([check.verdict for check in checks if not check.skipped])  # of none at all it is ERROR


def _why_not_run(step: str, observations: Observations) -> str:
    """Return the reason why a check has no facts of a step: it is not in the scenario, or an earlier step failed."""
    planned = {planned.name for planned in observations.scenario.steps}
    if step not in planned:
        return f"this build has no step {step}"
    return _first_failure(observations) or f"step {step} was not run"


def _first_failure(observations: Observations) -> str:
    """Return a sentence on the first step that failed; empty where none did."""
    failed = next((facts for facts in observations.steps.values() if facts.failure), None)
    return f"step {failed.step.name} failed: {failed.failure}" if failed else ""


def _failed_step(step: StepFacts) -> Finding:
    return Finding(
        kind=STEP_FAILED,
        subject=step.step.name,
        expected="the step does what it is to do",
        actual=step.failure,
        evidence="\n".join(step.evidence),
        where=step.log,
    )


def _with_known_failures(
    check: Check, observations: Observations, examined: Examined, known: Sequence[KnownFailure]
) -> CheckResult:
    """Return a check's result with the known failures that apply to it in this cell."""
    if examined.skip:
        return CheckResult(check=check.name, verdict=Verdict.SKIP, reason=examined.skip, figures=examined.figures)
    if _proves_nothing(examined):
        reason = "the check examined nothing, which proves nothing"
        return CheckResult(check=check.name, verdict=Verdict.FAIL, reason=reason, figures=examined.figures)
    entries = _entries_for(check, observations, known)
    findings = [_marked_known(finding, entries) for finding in examined.findings]
    if not observations.scenario.cell.build.is_adhoc:  # which may never come to the cause
        findings += _gone_entries(entries, examined.findings)
    return CheckResult(
        check=check.name,
        verdict=_verdict(findings),
        findings=tuple(_kept(findings)),
        examined=examined.examined,
        figures=examined.figures,
    )


def _proves_nothing(examined: Examined) -> bool:
    return not examined.examined and not examined.findings


def _entries_for(check: Check, observations: Observations, known: Iterable[KnownFailure]) -> list[KnownFailure]:
    """Return the known failures of a check that apply in a cell."""
    return [entry for entry in known if entry.check == check.name and _applies(entry, observations)]


def _applies(entry: KnownFailure, observations: Observations) -> bool:
    """Return whether a known failure is one of this cell's tree, and of this cell."""
    cell = observations.scenario.cell
    if not any(_names_tree(pattern, cell.tree.name, observations.tree_version) for pattern in entry.trees):
        return False
    return entry.names(cell) and entry.options.items() <= _options(observations).items()


def _options(observations: Observations) -> dict[str, str]:
    """Return perf's build options as it printed them or, where it was not run, as its build's file expects them."""
    step = observations.steps.get("self-test")
    ran = [command for command in step.commands if command.label == "options"] if step else []
    if ran:
        return perf.build_options(ran[0].output or "")
    cell = observations.scenario.cell
    lacking = cell.image.lacks | cell.tree.lacks
    return {name: value for name, value in cell.build.expect.options.items() if name not in lacking}


def _names_tree(pattern: str, name: str, version: str) -> bool:
    """Return whether a pattern is a glob over a tree's name, or the beginning of its kernel version (`7.3`)."""
    # The dots keep 7.3 from naming 7.30.
    return globs.matches(name, pattern) or f"{version}.".startswith(f"{pattern}.")


def _marked_known(finding: Finding, entries: Iterable[KnownFailure]) -> Finding:
    """Return a finding with the reason of the first known failure that lists it."""
    for entry in entries:
        if matches_any(finding.key, entry.findings):
            return finding.model_copy(update={"known": entry.why})
    return finding


def _gone_entries(entries: Iterable[KnownFailure], findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield a finding for each listed one that does not occur, unless it comes and goes."""
    keys = [finding.key for finding in findings]
    for entry in entries:
        for glob in _unmatched(entry.required_findings, keys):
            yield _gone_entry(glob, entry)


def _unmatched(globs: Iterable[str], keys: Sequence[str]) -> list[str]:
    """Return the globs that match none of the keys."""
    return [glob for glob in globs if not selects_any(glob, keys)]


def _gone_entry(pattern: str, entry: KnownFailure) -> Finding:
    return Finding(
        kind=KNOWN_FAILURE_GONE,
        subject=pattern,
        expected="the finding that known-failures.yaml lists",
        actual="it no longer occurs",
        evidence=entry.why,
    )


def _kept(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return the findings that are kept, new ones before known ones where they are too many, and a finding on that."""
    if len(findings) <= FINDINGS:
        return findings
    kept = sorted(findings, key=lambda finding: bool(finding.known))[:FINDINGS]
    return [*kept, _too_many(len(findings), known=kept[0].known)]


def _too_many(count: int, known: str) -> Finding:
    """Return the finding that a check has more findings than are kept."""
    return Finding(
        kind=TOO_MANY,
        subject="findings",
        expected=f"no more than {FINDINGS} findings, the limit on a check",
        actual=f"{count}, of which {count - FINDINGS} are left out",
        known=known,
    )


def _verdict(findings: Sequence[Finding]) -> Verdict:
    if not findings:
        return Verdict.PASS
    return Verdict.XFAIL if all(finding.known for finding in findings) else Verdict.FAIL


def step_results(observations: Observations) -> tuple[StepResult, ...]:
    """Return the result of each step of the scenario; a step that was not run is a SKIP with the reason."""
    return tuple(_step_result(observations, step.name, step.text) for step in observations.scenario.steps)


def _step_result(observations: Observations, name: str, command: str) -> StepResult:
    facts = observations.steps.get(name)
    if facts is None:
        reason = _why_not_run(name, observations)
        return StepResult(name=name, command=command, verdict=Verdict.SKIP, reason=reason)
    commands = facts.commands
    return StepResult(
        name=name,
        command=facts.step.text,
        verdict=Verdict.FAIL if facts.failure else Verdict.PASS,
        reason=facts.failure,
        exit_status=_exit_status(facts),
        wall_s=_total_s(ran.wall_s for ran in commands),
        user_s=_total_s(ran.user_s for ran in commands),
        system_s=_total_s(ran.system_s for ran in commands),
        rss_bytes=max((ran.rss_bytes for ran in commands), default=0),
        processes=_process_count(facts),
        files_changed=_files_changed(observations, name),
        log=facts.log,
    )


def _exit_status(facts: StepFacts) -> int | None:
    """Return the exit status of a step's first command; None where it ran none."""
    return facts.commands[0].exit_status if facts.commands else None


def _total_s(times_s: Iterable[float]) -> float:
    return round(sum(times_s), 3)


def _process_count(facts: StepFacts) -> int | None:
    """Return the number of a step's processes; None where they could not be followed."""
    return sum(len(ran.processes) for ran in facts.commands) if facts.traced else None


def _files_changed(observations: Observations, name: str) -> int:
    """Return the number of files that a step changed: since the step before it or, for the first, from the tree."""
    if name in observations.previous:
        return len(observations.changed(name))
    return len(observations.made(name))
