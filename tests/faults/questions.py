"""The questions after a run with a fault in it, and after the run that goes on with it."""

from __future__ import annotations

import re
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from matrix import paths
from tests.faults.boundaries import ENGINE, SIGNALS
from tests.faults.scenarios import SCENARIOS
from tests.faults.trial import PATIENCE_S, Trial, trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.faults.boundaries import Counts, Fault
    from tests.faults.starter import Starter
    from tests.faults.trial import Ended, Summary

GRACE_S = 60
"""How long processes may live after a command that was killed: it could not wait for them."""

STATUS, STORED, RESUMED, LEFT, TRACEBACK, END, FLUSHED = QUESTIONS = (
    "wrong exit status",
    "stored result lost or changed",
    "another result after `--resume`",
    "left behind",
    "traceback",
    "no end",
    "not flushed",
)
"""The questions, by the answer that none of them may have."""


class Wrong(NamedTuple):
    """A wrong answer: to which question, and what there was."""

    question: str
    text: str

    def __str__(self) -> str:
        return f"{self.question}: {self.text}"


@dataclass
class Outcome:
    """What a trial showed: where the fault was raised, if it was reached, and what was not as it must be."""

    fault: Fault
    fired: str = ""
    status: int | None = None
    resumed: int | None = None
    wrong: list[Wrong] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class Undisturbed:
    """What a run without a fault does: its status, its results and its calls at each boundary."""

    status: int
    results: Mapping[str, Summary]
    counts: Counts
    wall_s: float


class Bases:
    """The undisturbed run of each scenario, done once when it is first asked for."""

    def __init__(self, folder: Path, starter: Starter) -> None:
        self._folder = folder
        self._starter = starter
        self._found: dict[str, Undisturbed] = {}
        self._lock = threading.Lock()

    def __getitem__(self, scenario: str) -> Undisturbed:
        with self._lock:
            if scenario not in self._found:
                self._found[scenario] = undisturbed(self._folder / f"0-{scenario}", self._starter, scenario)
            return self._found[scenario]

    def counts(self, scenario: str) -> Counts:
        return self[scenario].counts

    @property
    def done(self) -> Mapping[str, Undisturbed]:
        return self._found


def undisturbed(folder: Path, starter: Starter, scenario: str) -> Undisturbed:
    """Do a run without a fault, counting its calls, and check that a loss of power could take none of its files."""
    with trial(folder, starter, SCENARIOS[scenario]) as one:
        if one.scenario.interrupts:
            one.interrupted()
        one.plan(None, counting=True)
        ended = one.resume() if one.scenario.interrupts else one.begin()
        found = Undisturbed(ended.status, one.results(), one.counts(), ended.wall_s)
        assert found.status == 1, ended.text
        verdicts = {cell: result[0] for cell, result in found.results.items()}
        assert verdicts == dict(zip(one.scenario.cells, ("FAIL", "PASS"), strict=True)), ended.text
        assert not one.engine.left(), one.engine.left()
        assert (one.litter(), one.temporary()) == ([], []), (one.litter(), one.temporary())
        assert one.run
        unflushed = list(one.journal.at_the_end(one.run.folder))
        assert not unflushed, unflushed
        return found


def tried(folder: Path, starter: Starter, fault: Fault, base: Undisturbed) -> Outcome:
    """Do a run with a fault, ask the questions, go on with it, and ask them again."""
    outcome = Outcome(fault)
    with trial(folder, starter, SCENARIOS[fault.scenario]) as one:
        if one.scenario.interrupts:
            one.interrupted()
        before = one.results()
        one.plan(fault)
        ended = one.resume() if one.scenario.interrupts else one.begin()
        outcome.status, outcome.text = ended.status, ended.text
        outcome.wrong.extend(_after_the_fault(one, ended, fault, base, before))
        outcome.fired = one.fired()
        before = one.results()
        if one.engine.fault and one.engine.fault.how in ("gone", "hang"):
            one.engine.close()
            one.engine.listen()
        one.plan(None)
        again = one.resume()
        outcome.resumed = again.status
        outcome.text += f"\n--- resumed\n{again.text}"
        outcome.wrong.extend(_after_the_resumption(one, again, base, before))
    return outcome


def _after_the_fault(
    one: Trial, ended: Ended, fault: Fault, base: Undisturbed, before: Mapping[str, Summary]
) -> Iterator[Wrong]:
    if ended.wall_s >= PATIENCE_S:
        yield Wrong(END, f"it did not end in {PATIENCE_S} s")
    living = one.wait_for_processes(GRACE_S if ended.status < 0 else 2)
    if living:
        yield Wrong(LEFT, f"{len(living)} of its processes live on")
    yield from _wrong_status(ended.status, one, fault, base)
    yield from _wrong_results(one, base, before)
    if "Traceback (most recent call last)" in ended.text:
        yield Wrong(TRACEBACK, "on the terminal")
    if ended.status in (0, 1) and one.fired() and one.engine.left() and fault.kind != ENGINE:
        yield Wrong(LEFT, f"in the engine: {one.engine.left()}")
    yield from (Wrong(LEFT, f"in the temporary folder: {name}") for name in _temporary(one, fault))
    unfinished = [name for name in one.litter() if not _is_continued(name)]
    if not _may_not_remove(fault) and fault.how not in ("SIGKILL", "SIGTERM") and unfinished:
        yield Wrong(LEFT, f"unfinished files: {unfinished}")
    yield from (Wrong(FLUSHED, text) for text in one.journal.wrong())


def _is_continued(name: str) -> bool:
    """Return whether an unfinished file is a download's, which the next command continues; none is left after that."""
    return name.startswith("cache/downloads/") and not name.rpartition("/")[2].startswith(".")


def _may_not_remove(fault: Fault) -> bool:
    return fault.boundary == "remove" or fault.how == "EROFS lasting"


PROBE = re.compile(r"[a-z0-9_]{8}")
"""The name of the file by which Python tries the temporary folder (tempfile._get_default_tempdir)."""


def _temporary(one: Trial, fault: Fault) -> list[str]:
    """Return the temporary files that are left, but what may be.

    A process that a signal ends while Python tries the temporary folder leaves the file of that, with four bytes at
    most; one that SIGTERM or SIGKILL ends leaves the folder that it has, which is the program's by its name and is
    removed by `clean` (see `_after_the_resumption`). Nothing else is ever left.
    """
    if _may_not_remove(fault):
        return []
    left = [path for path in one.temporary() if fault.kind != SIGNALS or not _is_probe(path)]
    is_killed = fault.how in ("SIGTERM", "SIGKILL")
    return [path.name for path in left if not (is_killed and path.name.startswith(paths.TEMPORARY_PREFIX))]


def _is_probe(path: Path) -> bool:
    return bool(PROBE.fullmatch(path.name)) and path.is_file() and b"blat".startswith(path.read_bytes())


def _wrong_status(status: int, one: Trial, fault: Fault, base: Undisturbed) -> Iterator[Wrong]:
    verdicts = {result[0] for result in one.results().values()}
    if one.results() == base.results and status == base.status:
        return
    # 3 also where every cell has its result, as the end of the run may have failed; a FAIL goes before an ERROR.
    allowed = {3, 1} if "FAIL" in verdicts else {3}
    if fault.how in ("EACCES", "ENOENT"):  # a mode that its user can mend, a git that its user can install
        allowed.add(2)
    if fault.role == "command" and fault.kind == SIGNALS:
        allowed = {"SIGINT": {130}, "SIGTERM": {130, -signal.SIGTERM}, "SIGKILL": {-signal.SIGKILL}}[fault.how]
    if status not in allowed:
        yield Wrong(STATUS, f"{status} with {sorted(verdicts)}, and not one of {sorted(allowed)}")


def _wrong_results(one: Trial, base: Undisturbed, before: Mapping[str, Summary]) -> Iterator[Wrong]:
    try:
        results = one.results()
    except ValueError as error:
        yield Wrong(STORED, f"a result cannot be read: {error}")
        return
    for cell, found in results.items():
        if found != base.results[cell]:
            yield Wrong(
                STORED, f"{cell} is another than undisturbed: {_difference(found, base.results[cell])}"
            )  # fmt: skip
    if lost := _lost(before, results):
        yield Wrong(STORED, f"results of before are gone or changed: {lost}")


def _lost(before: Mapping[str, Summary], after: Mapping[str, Summary]) -> list[str]:
    return sorted(cell for cell, found in before.items() if after.get(cell) != found)


def _difference(found: Summary, wanted: Summary) -> Any:
    return found[0], sorted(set(found[1]) - set(wanted[1]))


def _after_the_resumption(
    one: Trial, again: Ended, base: Undisturbed, before: Mapping[str, Summary]
) -> Iterator[Wrong]:
    after = one.results()
    if lost := _lost(before, after):
        yield Wrong(STORED, f"gone or changed: {lost}")
    if (again.status, after) != (base.status, base.results):
        yield Wrong(RESUMED, f"status {again.status}, { ({cell: result[0] for cell, result in after.items()}) }")
    if "Traceback (most recent call last)" in again.text:
        yield Wrong(TRACEBACK, "on the terminal, of the run that goes on")
    yield from (Wrong(FLUSHED, text) for text in one.journal.wrong())
    if one.engine.left() or one.litter() or one.temporary():
        cleaned = one.command("clean")
        if cleaned.status or one.engine.left():
            yield Wrong(LEFT, f"after clean in the engine: {one.engine.left()}; {cleaned}")
        if one.litter():
            yield Wrong(LEFT, f"after clean unfinished files: {one.litter()}")
        if left := [path.name for path in one.temporary() if not _is_probe(path)]:
            yield Wrong(LEFT, f"after clean in the temporary folder: {left}")
