"""Keys of results: a key is a hash of all that a cell's result depends on. Pure.

A cell has two. The key of its transcript is that of what was done: the scenario, the image, the tree, the kernel. The
key of its result has that one in it, and what judged the transcript besides: so a transcript can be judged again by
today's known failures, or for a tree of another name, and nothing has to be built for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from matrix.model.cell import matches
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

    `program` is the digest of this program's files, `image` the image's, and `tree` that of the tree's files that a
    build of perf can read; `host` has the facts of CellResult.host. The names of image, build and tree are no part of
    it: they change nothing in a container.
    """
    done = scenario.model_dump(mode="json", exclude={"cell"})
    facts = {name: host.get(name, "") for name in HOST_FACTS}
    return _digest([program, done, image, tree, facts])


def result_key(transcript: str, cell: Cell, known: Sequence[KnownFailure], base: str = "") -> str:
    """Return the key of a cell's result: that of its transcript, and what the transcript is judged by.

    `base` is the key of the transcript on the base tree, empty where the cell is not compared with one.
    """
    entries = [entry.model_dump(mode="json") for entry in known if _names_cell(entry, cell)]
    return _digest([transcript, cell.model_dump(mode="json"), entries, base])


def _names_cell(entry: KnownFailure, cell: Cell) -> bool:
    return any(matches(cell.id, glob) for glob in entry.cells)


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_sampled(key: str) -> bool:
    """Return whether a cell is built again once although its key has a result, to see that both agree."""
    return int(key[:8], 16) % SAMPLED == 0


def may_be_reused(result: CellResult) -> bool:
    """Return whether others may reuse a result: it was built from scratch, and every step of it passed.

    A step that failed may have failed by chance, and whoever runs it again wants to know. A build that continued from a
    kept build depends on more than its key.
    """
    is_judged = result.verdict not in (Verdict.ERROR, Verdict.SKIP) and bool(result.steps)
    all_passed = all(step.verdict == Verdict.PASS for step in result.steps)
    return bool(result.transcript_key) and is_judged and all_passed and result.gone_on is None


def compared(result: CellResult, earlier: CellResult) -> CellResult:
    """Return a result with a finding on each check that found something else in an `earlier` result of the same key."""
    checks = result.checks
    if result.key == earlier.key:  # else they were judged by different known failures, or against different bases
        checks = tuple(_with_difference(check, earlier, result.run) for check in checks)
    if result.program_sha256 != earlier.program_sha256:
        checks = tuple(_with_program(check, result, earlier) for check in checks)
    verdict = worst([check.verdict for check in checks]) if checks != result.checks else result.verdict
    return result.model_copy(update={"checks": checks, "verdict": verdict})


def differences(result: CellResult) -> Iterator[Finding]:
    """Yield the findings of a result on a difference from an earlier one of the same key."""
    for check in result.checks:
        yield from (finding for finding in check.findings if finding.kind == DIFFERS_FROM_EARLIER)


def _with_difference(check: CheckResult, earlier: CellResult, run: str) -> CheckResult:
    before = earlier.check(check.check)
    then = before.finding_keys if before else frozenset()
    if then == check.finding_keys:
        return check
    return _failing(check, check.check, earlier.run, _named(then), f"in run {run}: {_named(check.finding_keys)}")


def _named(keys: frozenset[str]) -> str:
    return ", ".join(cut(sorted(keys), SHOWN)) or "no finding"


def _with_program(check: CheckResult, result: CellResult, earlier: CellResult) -> CheckResult:
    if check.check != PROGRAM_CHECK:
        return check
    return _failing(check, "perf", earlier.run, earlier.program_sha256, result.program_sha256)


def _failing(check: CheckResult, subject: str, run: str, expected: str, actual: str) -> CheckResult:
    """Return a check's result as a FAIL, with a finding on what an earlier run with the same key had."""
    finding = Finding(
        kind=DIFFERS_FROM_EARLIER,
        subject=subject,
        expected=f"as in run {run}, of the same image, tree, kernel and commands: {expected}",
        actual=actual,
    )
    return check.model_copy(update={"findings": (*check.findings, finding), "verdict": Verdict.FAIL})
