"""build: it succeeds with the options, features and linkage of its file, and perf's own unprivileged tests pass."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.elf_facts import ElfFacts
    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import Process, Ran, StepFacts

# The lines of FEATURE-DUMP.
_FEATURE = re.compile(r"^feature-([\w.+-]+)=([01])$", re.M)
# `perf test`, as tools/perf/tests/builtin-test.c prints it: ` 7.2: Parsing of a name  : Ok`. Its output may be
# anything, so none of these expressions has two repeats of one character next to each other.
_TEST = re.compile(r"^[ \t]*(\d+(?:\.\d+)*+): (.*)$", re.M)
_OUTCOME = re.compile(r":[ \t\r]*(?:(Ok|Skip|FAILED!)|$)")
# A line up to a carriage return, which a terminal overwrites, or a colour (ECMA-48's control sequences).
_TERMINAL = re.compile(r"^[^\n]*\r(?!\n)|\x1b\[[0-9;]*[A-Za-z]", re.M)

_THERE = {True: "it is there", False: "it is not there"}


def _command(step: StepFacts, label: str) -> Ran | None:
    return next((ran for ran in step.commands if ran.label == label), None)


def _wanted(expected: dict[str, str], observations: Observations) -> dict[str, str]:
    """Return the expected values but for those options and features that this image or tree is known to lack."""
    lacking = _lacks(observations)
    return {name: value for name, value in expected.items() if name not in lacking}


def _lacks(observations: Observations) -> dict[str, str]:
    """Return the reasons why this image or tree cannot have certain options and features, by their names."""
    cell = observations.scenario.cell
    return cell.image.lacks | cell.tree.lacks


def _compare(what: str, expected: dict[str, str], found: dict[str, str], log: str) -> Iterator[Finding]:
    for name, value in expected.items():
        actual = found.get(name, "not listed")
        if actual != value:
            yield Finding(kind=what, subject=name, expected=value, actual=actual, where=log)


def _flags(observations: Observations) -> Iterator[Finding]:
    """Yield the flags that perf.c is compiled with or without, other than the build's file says."""
    expected = observations.scenario.cell.build.expect.flags
    step = observations.steps["build"]
    if not step.traced:
        return
    compiler = next((process for process in step.processes if _compiles_main(process)), None)
    words = set(compiler.argv) if compiler else set()
    for flag, is_wanted in expected.items():
        if (flag in words) != is_wanted or compiler is None:
            yield Finding(
                kind="flag",
                subject=flag,
                expected="perf.c is compiled with it" if is_wanted else "perf.c is compiled without it",
                actual=_THERE[flag in words] if compiler else "no compiler of perf.c was seen",
                where=step.log,
            )


def _commands(observations: Observations) -> Iterator[Finding]:
    """Yield the texts that a command line of the build has, or none has, other than the build's file says."""
    expected = observations.scenario.cell.build.expect.commands
    step = observations.steps["build"]
    if not expected or not step.traced:
        return
    lines = [" ".join(process.argv) for process in step.processes]
    for text, is_wanted in expected.items():
        line = next((line for line in lines if text in line), "")
        if bool(line) != is_wanted:
            yield Finding(
                kind="command",
                subject=text,
                expected="a command line has it" if is_wanted else "no command line has it",
                actual=line[:200] or "none has it",
                where=step.log,
            )


def _compiles_main(process: Process) -> bool:
    """Return whether a process is the compiler's driver for perf.c, and not the shell or the compiler proper."""
    name = posixpath.basename(perf.MAIN_SOURCE)
    is_compiler = "-c" in process.argv and len(process.argv) > len(("sh", "-c", "the script"))
    return is_compiler and any(posixpath.basename(word) == name for word in process.argv)


def _stale_lacks(observations: Observations, found: dict[str, str], log: str) -> Iterator[Finding]:
    """Yield the options and features that the image's or tree's file says are lacking, and that are there."""
    expect = observations.scenario.cell.build.expect
    expected: dict[str, str] = {**expect.features, **expect.options}
    there = {(name, value) for name, value in found.items() if value in ("on", "1")} & expected.items()
    reasons = _lacks(observations)
    for name, why in reasons.items():
        if (name, expected.get(name)) in there:
            yield Finding(kind="not-lacking", subject=name, expected=f"lacking: {why}", actual="it is there", where=log)


def last_lines(output: str) -> str:
    """Return a terminal's output as it looked in the end, without overwritten text and colours."""
    return _TERMINAL.sub("", output)


def tests(output: str) -> list[tuple[str, str, str]]:
    """Return (number, name, outcome) of each line of `perf test`; a suite's own line has no outcome, only its cases."""
    lines = ((number, rest, _OUTCOME.search(rest)) for number, rest in _TEST.findall(last_lines(output)))
    return [(number, rest[: end.start()].strip(), end[1] or "") for number, rest, end in lines if end]


def _suite(number: str) -> str:
    """Return the number of the suite that a case of `perf test` is of: 7 of 7.2."""
    return number.partition(".")[0]


def _test_findings(wanted: tuple[str, ...], ran: Ran, log: str) -> Iterator[Finding]:
    """Yield the tests that failed, and each of `wanted`, a fragment of a name, of which none passed."""
    # A positive status only says that some test failed, which each failed test says better.
    if ran.exit_status < 0:
        actual = f"it was ended by signal {-ran.exit_status}"
        yield Finding(kind="runs", subject="tests", expected="perf test runs to its end", actual=actual, where=log)
    lines = tests(ran.output or "")
    yield from _failed_tests(lines, log)
    passed = {_suite(number) for number, _, outcome in lines if outcome == "Ok"}
    for fragment in wanted:
        if not _suites(lines, fragment) & passed:
            yield Finding(kind="test", subject=fragment, expected="Ok", actual="no test of this name passed", where=log)


def _failed_tests(lines: list[tuple[str, str, str]], log: str) -> Iterator[Finding]:
    for number, name, outcome in lines:
        if outcome == "FAILED!":
            evidence = f"perf test {number}"
            yield Finding(kind="test", subject=name, expected="Ok", actual=outcome, evidence=evidence, where=log)


def _suites(lines: list[tuple[str, str, str]], fragment: str) -> set[str]:
    """Return the numbers of the suites with a line whose name has a fragment, in whatever case."""
    return {_suite(number) for number, name, _ in lines if fragment.lower() in name.lower()}


def _linkage(observations: Observations) -> Iterator[Finding]:
    """Yield the finding that the program is not linked as the build's file says."""
    linkage = observations.scenario.cell.build.expect.linkage
    if linkage is None:
        return
    facts = observations.elf.get(f"{observations.output}/{perf.PROGRAM}")
    if facts is None:
        yield _linked_otherwise(f"a {linkage} program", "there is no such file")
    elif facts.error:
        yield _linked_otherwise(f"a {linkage} program", facts.error)
    elif linkage == "static":
        yield from _not_static(facts)
    elif not (facts.interpreter and facts.dynamic):
        yield _linked_otherwise("an interpreter and a dynamic section", "not both")


def _linked_otherwise(expected: str, actual: str) -> Finding:
    return Finding(kind="linkage", subject="perf", expected=expected, actual=actual)


def _not_static(facts: ElfFacts) -> Iterator[Finding]:
    parts = _dynamic_parts(facts)
    if parts:
        yield _linked_otherwise("no interpreter, no dynamic section", parts)


def _dynamic_parts(facts: ElfFacts) -> str:
    """Return the parts of a program that only a dynamic linker reads, as words."""
    there = {"an interpreter": facts.interpreter, "a dynamic section": facts.dynamic}
    return " and ".join(name for name, has in there.items() if has)


def _skeletons(observations: Observations) -> Iterator[Finding]:
    """Yield the finding that BPF skeletons were made where none is expected, or none where some are."""
    are_expected = observations.scenario.cell.build.expect.bpf_skeletons
    if are_expected is None:
        return
    found = sorted(filter(perf.is_skeleton, observations.made("build")))
    if are_expected:
        expected, actual = "BPF skeletons", "" if found else "none was made"
    else:
        expected, actual = "no BPF skeleton", ", ".join(found[:5])
    if actual:
        yield Finding(kind="skeletons", subject="*.skel.h", expected=expected, actual=actual)


def _listed(observations: Observations, label: str) -> tuple[dict[str, str], list[Finding]]:
    """Return the values that the command `options` or `features` printed, and the findings on them."""
    step = observations.steps["self-test"]
    ran = _command(step, label)
    if ran is None or ran.exit_status:
        actual = f"exit status {ran.exit_status}" if ran else "it was not run"
        return {}, [Finding(kind="runs", subject=label, expected="exit status 0", actual=actual, where=step.log)]
    output = ran.output or ""
    values = perf.build_options(output) if label == "options" else dict(_FEATURE.findall(output))
    expect = observations.scenario.cell.build.expect.model_dump()
    wanted = _wanted(expect[label], observations)
    return values, list(_compare(label.removesuffix("s"), wanted, values, step.log))


def _examine(observations: Observations) -> Examined:
    cell = observations.scenario.cell
    if not cell.build.makes_program:
        return _examine_without_program(observations)
    if "self-test" not in observations.steps:  # of a start method, or where the steps of other checks alone are run
        return Examined(skip="this build has no step self-test")
    step = observations.steps["self-test"]
    options, unexpected_options = _listed(observations, "options")
    features, unexpected_features = _listed(observations, "features")
    listed = options | features
    findings = [*unexpected_options, *unexpected_features, *_stale_lacks(observations, listed, step.log)]
    tested = _command(step, "tests")
    if tested is not None:
        findings += _test_findings(cell.perf_tests, tested, step.log)
    findings += [
        *_flags(observations),
        *_commands(observations),
        *_linkage(observations),
        *_skeletons(observations),
        *_left_running(observations),
    ]
    findings += _changed_by_tests(observations)
    output = tested.output if tested else ""
    figures: Figures = {
        "options and features": len(listed),
        "tests passed": sum(outcome == "Ok" for _, _, outcome in tests(output or "")),
    }
    on = {name for name, value in listed.items() if value == "on"}
    unlisted = sorted(on - cell.build.expect.options.keys())
    if unlisted:
        figures["on, and not in the build's file"] = ", ".join(unlisted)
    return Examined(tuple(findings), len(listed), figures, skip="" if findings else _unknown(observations))


def _unknown(observations: Observations) -> str:
    """Return the reason why what the build's file says of command lines is not known, or nothing."""
    expect = observations.scenario.cell.build.expect
    if observations.steps["build"].traced or not (expect.flags or expect.commands):
        return ""
    return "ptrace is forbidden here, so the command lines of the build are not known"


def _examine_without_program(observations: Observations) -> Examined:
    """Return the answer for a build that does not make perf: there is nothing to run, and to look at."""
    findings = [*_flags(observations), *_commands(observations), *_skeletons(observations)]
    findings += _left_running(observations)
    step = observations.steps["build"]
    figures: Figures = {"files": len(step.files), "processes": len(step.processes)}
    return Examined(tuple(findings), len(step.files), figures, skip="" if findings else _unknown(observations))


def _left_running(observations: Observations) -> Iterator[Finding]:
    """Yield the processes that were still running when a make had ended: they may write into the output later."""
    found: dict[str, Finding] = {}
    for step in observations.steps.values():
        for argv in _outlived(step):
            finding = Finding(
                kind="left-running",
                subject=argv[0],
                expected="no process outlives make",
                actual=" ".join(argv)[:200],
                where=step.log,
            )
            found.setdefault(finding.key, finding)  # the first step that left one is to blame for it
    yield from found.values()


def _changed_by_tests(observations: Observations) -> Iterator[Finding]:
    """Yield the files that the program and its tests changed: they could do work that the next make lacks then."""
    for path, way in observations.changed("self-test").items():
        where = observations.steps["self-test"].log
        yield Finding(
            kind="changed-by-tests", subject=path, expected="the program changes no file of a build", actual=way,
            where=where,
        )  # fmt: skip


def _outlived(step: StepFacts) -> Iterator[tuple[str, ...]]:
    for ran in step.commands:
        yield from ran.left_running


CHECK = Check(
    name="build",
    summary="it builds, is what its file expects, runs, and passes perf's own unprivileged tests",
    owns=("build", "self-test"),
    may_lack=("self-test",),
    needs=(),
    examine=_examine,
)
