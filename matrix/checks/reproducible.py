"""reproducible: a second build from scratch, under other circumstances, leaves the same bytes."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures, made_by
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from matrix.scenario.observations import Observations

NO_ARTEFACT = re.compile(r"(\.log|\.make\.output|\.d|\.cmd|\.pyc|/" + perf.FEATURE_DUMP + r"[^/]*|/\.fixdep[^/]*)$")
"""The names of logs, dependency files and byte code, in which a difference is no finding.

They hold the commands and dates of their build, and no artefact is made of them. They are compared and counted.
"""

CLOCK_DIGITS = 18
"""The most digits of a clock's seconds: int() takes no text of more than 4,300, and a cell prints what it likes."""
MOVED_S = 86400
"""The seconds by which the clocks of the two builds must differ, where libfaketime moves the second's.

A day is more than two builds take, so that a clock that was not moved is not taken for one that was.
"""


def differing(observations: Observations) -> list[str]:
    """Return the files that both builds left with other content, in the order in which the first wrote them."""
    one, two = observations.made("build"), observations.made("build-again")
    both = one.keys() & two.keys()
    different = [path for path in both if not one[path].equals(two[path])]
    # In build order, as the first that differs is most likely the cause of the others.
    return sorted(different, key=lambda path: (one[path].mtime_ns, path))


def is_artefact(path: str) -> bool:
    """Return whether a difference in a file is a finding."""
    return not NO_ARTEFACT.search(path)


def first_difference(observations: Observations) -> str | None:
    """Return the first artefact in build order that differs, or None: later ones may differ because of it alone."""
    return next(filter(is_artefact, differing(observations)), None)


def _examine(observations: Observations) -> Examined:
    one, two = observations.made("build"), observations.made("build-again")
    compared = [path for path in one.keys() & two.keys() if one[path].type != "directory"]
    different = differing(observations)
    artefacts = list(filter(is_artefact, different))
    findings = [_finding(observations, path, first=path == artefacts[0]) for path in artefacts]
    findings += [*_only_once(one.keys(), two.keys()), *_clock(observations)]
    figures: Figures = {
        "compared": len(compared),
        "artefacts that differ": len(artefacts),
        "logs and dependency files that differ": len(different) - len(artefacts),
    }
    return Examined(tuple(findings), len(compared), figures)


def _only_once(first: AbstractSet[str], second: AbstractSet[str]) -> Iterator[Finding]:
    """Yield the artefacts that only one of the builds left.

    Byte code is left out: whether Python writes it depends on more than the build.
    """
    left_by = dict.fromkeys(first - second, "first") | dict.fromkeys(second - first, "second")
    for path, build in sorted(left_by.items()):
        if is_artefact(path) and "/__pycache__" not in path:
            actual = f"left by the {build} alone"
            yield Finding(kind="only-once", subject=path, expected="left by both builds", actual=actual)


def _clock(observations: Observations) -> Iterator[Finding]:
    """Yield the finding that libfaketime did not move the second build's clock, although it was loaded."""
    again = observations.steps["build-again"]
    reads_clock = any(command.label == "clock" for command in again.step.commands)
    if "FAKETIME" not in again.step.environment or not reads_clock:
        return
    first, second = _read_clock(observations, "first"), _read_clock(observations, "second")
    if not _is_moved(first, second):
        yield Finding(
            kind="same-clock",
            subject="build-again",
            expected=f"a clock that libfaketime moved by FAKETIME={again.step.environment['FAKETIME']}",
            actual=f"{second} seconds since the epoch, after {first} in the first container",
            where=again.log,
        )


def _is_moved(first: int | None, second: int | None) -> bool:
    """Return whether the second container's clock is ahead of the first's by more than the builds can take."""
    return first is not None and second is not None and second - first > MOVED_S


def _read_clock(observations: Observations, place: str) -> int | None:
    """Return the seconds since the epoch that a container's clock showed after its build, or nothing."""
    steps = [step for step in observations.steps.values() if step.step.place == place]
    clocks = [ran for step in steps for ran in step.commands if ran.label == "clock"]
    output = (clocks[0].output or "").strip() if clocks else ""
    return int(output) if output.isdecimal() and len(output) <= CLOCK_DIGITS else None


def _finding(observations: Observations, path: str, *, first: bool) -> Finding:
    evidence = made_by(observations.steps["build"], path)
    if first and observations.differences:
        evidence = "\n".join([evidence, *observations.differences]).strip()
    return Finding(
        kind="first-difference" if first else "differs",
        subject=path,
        expected="the same bytes from both builds",
        actual=f"{posixpath.basename(path)} differs",
        evidence=evidence,
        where="logs/diffoscope.txt" if first else observations.steps["build-again"].log,
    )


CHECK = Check(
    name="reproducible",
    summary="a second build from scratch under other circumstances leaves the same bytes",
    owns=("build-again",),
    needs=("build",),
    examine=_examine,
)
