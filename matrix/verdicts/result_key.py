"""Keys of results: a key is a hash of all that a cell's result depends on. Pure.

A cell has two. The key of its transcript is that of what was done: the scenario, the image, the tree, the kernel. The
key of its result has that one in it, and what judged the transcript besides: so a transcript can be judged again by
today's known failures, or for a tree of another name, and nothing has to be built for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from matrix.model.result import DIFFERS_FROM_EARLIER, CheckResult, Finding, Verdict, worst
from matrix.verdicts.wording import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matrix.model.cell import Cell
    from matrix.model.known_failure import KnownFailure
    from matrix.model.result import CellResult
    from matrix.scenario.plan import Scenario

SAMPLED = 20
"""One of this many keys is built again although it has a result."""

HOST_FACTS = ("engine", "kernel", "architecture", "storage", "cgroup", "cpus", "memory_bytes", "btf_sha256")
"""The facts of CellResult.host that a build, or one of perf's own tests, can see."""

PROGRAM_CHECK = "reproducible"
"""The check that gets the finding where two builds with one key gave two programs."""

SHOWN = 3
"""The findings that a finding on their difference names."""


def transcript_key(program: str, scenario: Scenario, image: str, tree: str, host: Mapping[str, str]) -> str:
    """Return the key of a cell's transcript, 64 hex digits.

    `program` is the digest of this program's files, `image` and `tree` those of image and tree; `host` has the facts of
    CellResult.host. The names of image, build and tree are no part of it: they change nothing in a container.
    """
    done = scenario.model_dump(mode="json", exclude={"cell"})
    facts = {name: host.get(name, "") for name in HOST_FACTS}
    return _digest([program, done, image, tree, facts])


def result_key(transcript: str, cell: Cell, known: Sequence[KnownFailure], base: str = "") -> str:
    """Return the key of a cell's result: that of its transcript, and what the transcript is judged by.

    `base` is the key of the transcript on the base tree, empty where the cell is not compared with one.
    """
    entries = [entry.model_dump(mode="json") for entry in known if entry.names(cell)]
    return _digest([transcript, cell.model_dump(mode="json"), entries, base])


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_sampled(key: str) -> bool:
    """Return whether a cell is built again once although its key has a result, to see that both agree."""
    return int(key[:8], 16) % SAMPLED == 0


def may_be_reused(result: CellResult) -> bool:
    """Return whether others may reuse a result: a build from scratch that was followed, and all of whose steps passed.

    A step that failed may have failed by chance, and whoever runs it again wants to know. Where ptrace was forbidden
    the checks of processes were skipped, and may not be the next time.
    """
    build = result.step("build")
    was_followed = build is not None and build.processes is not None
    return may_be_compared(result) and was_followed and not has_failed_step(result)


def may_be_compared(result: CellResult) -> bool:
    """Return whether a result is that of a build which depends on nothing but its key."""
    is_judged = result.verdict not in (Verdict.ERROR, Verdict.SKIP) and bool(result.steps)
    return bool(result.transcript_key) and is_judged and result.gone_on is None


def has_failed_step(result: CellResult) -> bool:
    """Return whether a step of a cell failed or was not run."""
    return any(step.verdict != Verdict.PASS for step in result.steps)


def compared(result: CellResult, earlier: CellResult) -> CellResult:
    """Return a result with a finding on each check that found something else in an `earlier` result of the same key.

    Findings that known failures explain are left out, as some of these come and go.
    """
    checks = result.checks
    if result.key and result.key == earlier.key:  # else other known failures judged them, or other bases
        checks = tuple(_with_difference(check, earlier, result.run) for check in checks)
    if _is_another_program(result, earlier):
        checks = tuple(_with_program(check, result, earlier) for check in checks)
    verdict = worst([check.verdict for check in checks]) if checks != result.checks else result.verdict
    return result.model_copy(update={"checks": checks, "verdict": verdict, "compared_with": earlier.run})


def differences(result: CellResult) -> Iterator[Finding]:
    """Yield the findings of a result on a difference from an earlier one of the same key."""
    for check in result.checks:
        yield from _differences_of(check)


def _differences_of(check: CheckResult | None) -> tuple[Finding, ...]:
    findings = check.findings if check else ()
    return tuple(finding for finding in findings if finding.kind == DIFFERS_FROM_EARLIER)


def with_differences_of(result: CellResult, before: CellResult) -> CellResult:
    """Return a result that was judged again with the findings on a difference that it had `before`."""
    checks = tuple(_with(check, _differences_of(before.check(check.check))) for check in result.checks)
    verdict = worst([check.verdict for check in checks]) if checks != result.checks else result.verdict
    return result.model_copy(update={"checks": checks, "verdict": verdict})


def _with(check: CheckResult, findings: tuple[Finding, ...]) -> CheckResult:
    if not findings:
        return check
    return check.model_copy(update={"findings": (*check.findings, *findings), "verdict": Verdict.FAIL})


def _with_difference(check: CheckResult, earlier: CellResult, run: str) -> CheckResult:
    before = earlier.check(check.check)
    then, now = _new_keys(before), _new_keys(check)
    if then == now or check.skipped:  # a check is skipped for a step that failed, which its owner's finding says
        return check
    return _with(check, (_difference(check.check, earlier.run, _named(then), f"in run {run}: {_named(now)}"),))


def _new_keys(check: CheckResult | None) -> frozenset[str]:
    return frozenset(finding.key for finding in check.new_findings) if check else frozenset()


def _named(keys: frozenset[str]) -> str:
    return ", ".join(cut(sorted(keys), SHOWN)) or "no finding"


def _is_another_program(result: CellResult, earlier: CellResult) -> bool:
    """Return whether two builds gave two programs though each was reproducible in its own cell."""
    passed = [found is not None and found.verdict == Verdict.PASS for found in map(_reproducible, (result, earlier))]
    return all(passed) and result.program_sha256 != earlier.program_sha256


def _reproducible(result: CellResult) -> CheckResult | None:
    return result.check(PROGRAM_CHECK)


def _with_program(check: CheckResult, result: CellResult, earlier: CellResult) -> CheckResult:
    if check.check != PROGRAM_CHECK:
        return check
    return _with(check, (_difference("perf", earlier.run, earlier.program_sha256, result.program_sha256),))


def _difference(subject: str, run: str, expected: str, actual: str) -> Finding:
    """Return the finding on what an earlier run with the same key had."""
    return Finding(
        kind=DIFFERS_FROM_EARLIER,
        subject=subject,
        expected=f"as in run {run}, of the same image, tree, kernel and commands: {expected}",
        actual=actual,
    )
