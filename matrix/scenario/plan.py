"""From a cell to its scenario: which commands run where, in which order. Pure; `perf-matrix plan` prints it."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from matrix.model.base import Frozen, Name
from matrix.model.cell import Cell, Limits
from matrix.scenario import environments, perf

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

START_METHODS = ("serial", "fork", "forkserver", "spawn")
"""Python's multiprocessing start methods, and `serial`: the generator without a pool."""

GENERATED = "/tmp/generated"  # noqa: S108 - a folder inside the cell
LOG_BYTES, DATABASE_BYTES = 32 << 20, 64 << 20
"""The most that is kept of a step's log, and of make's data bases (24 MB for perf); a cell may print any number."""

HOSTNAMES = {"first": "matrix", "second": "elsewhere"}
"""The host names of a cell's two containers: the second build must not depend on the name of its machine."""


class Command(Frozen):
    """One program of a step; `traced`: its processes are followed; `captured`: its output is a fact."""

    label: str
    argv: tuple[str, ...]
    traced: bool = False
    captured: bool = False


class Invocation(NamedTuple):
    """A command as a step runs it: with its environment, and the folder that it writes to where one must be made."""

    command: Command
    environment: dict[str, str]
    folder: str = ""


CLOCK = Command(label="clock", argv=("date", "+%s"), captured=True)
"""The command whose output shows that the second build really had another time."""


class Step(Frozen):
    """One step of a scenario. `place` says in which of the cell's two containers it runs.

    `replays` names a generator whose own command line, as seen in the step `build`, is run again under each
    start method, into a folder per method below GENERATED. A step that `declares` prints make's data bases, which are
    kept in place of its log. `touch` are files inside the cell that are touched before the commands. A step that is
    to `keep_going` runs all its commands, whatever their exit statuses. `timeout_s` is the limit on each command.
    """

    name: Name
    summary: str
    place: Literal["first", "second"] = "first"
    commands: tuple[Command, ...] = ()
    touch: tuple[str, ...] = ()
    replays: str = ""
    environment: dict[str, str]
    umask: int = 0o022
    keep_going: bool = False
    timeout_s: int
    declares: bool = False

    @property
    def log_bytes(self) -> int:
        """The most that is kept of what each command prints."""
        return DATABASE_BYTES if self.declares else LOG_BYTES

    @property
    def text(self) -> str:
        """The commands as one would type them."""
        touched = [f"touch {path}" for path in self.touch]
        replayed = [f"{self.replays} under {', '.join(START_METHODS)}"] if self.replays else []
        return "; ".join([*touched, *replayed, *(shlex.join(command.argv) for command in self.commands)])


class Scenario(Frozen):
    """All that is done to one cell, in order."""

    cell: Cell
    hostnames: dict[str, str]
    limits: Limits
    steps: tuple[Step, ...]


def output_folder(cell: Cell) -> str:
    """Return the folder inside the cell in which its build leaves perf."""
    return perf.output_folder(out_of_tree=cell.build.out_of_tree)


def make_argv(cell: Cell, jobs: int, *goals: str) -> tuple[str, ...]:
    """Return the make command line: plain make as a developer runs it, with the cell's variables.

    JOBS and no -j: tools/perf/Makefile runs Makefile.perf with `-j$(JOBS)`, by default as many as there are processors.
    """
    variables = [f"{name}={value}" for name, value in cell.make.items()]
    output = [f"O={cell.build.output_word}"] if cell.build.out_of_tree else []
    return ("make", "-C", perf.FOLDER, f"JOBS={jobs}", *variables, *output, *goals)


def database_argv(cell: Cell) -> tuple[str, ...]:
    """Return the command line that prints make's data bases, and runs no recipe.

    Of Makefile.perf, as tools/perf/Makefile runs it in a recipe that `-n` would only print. One job at a time keeps
    each make's data base in one piece.
    """
    # tools/perf/Makefile has made a relative O= absolute by then.
    absolute = cell.model_copy(update={"build": cell.build.model_copy(update={"output_word": perf.OUTPUT})})
    first, folder, place, _, *rest = make_argv(absolute, 1, *(cell.build.goals or ("all",)))
    return (first, folder, place, "-f", posixpath.basename(perf.MAKEFILE), "--no-print-directory", "-j1", "-pn", *rest)


def without_start_method(cell: Cell) -> Cell:
    """Return the cell whose build a cell with a start method makes first, and then again in part: the same without it.

    Its name is that of the build that the other extends, if it extends one.
    """
    build = cell.build
    if not build.start_method:
        return cell
    plain = {"start_method": None, "name": build.extends or build.name}
    return cell.model_copy(update={"build": build.model_copy(update=plain)})


def scenario(
    cell: Cell,
    jobs: int = 2,
    limits: Limits | None = None,
    only: Container[str] | None = None,
    planted: Iterable[str] = (),
) -> Scenario:
    """Return the steps for `cell`, with `jobs` parallel jobs, in the order of STEPS.

    `only` names the steps to keep; `planted` are the tree's files that were edited after it was built, so both builds
    find them newer.
    """
    limits = limits or Limits()
    planner = _Planner(cell, jobs, limits.step_s, tuple(map(perf.in_cell, planted)))
    steps = filter(None, (plan(planner) for plan in STEPS))
    return Scenario(cell=cell, hostnames=dict(HOSTNAMES), limits=limits, steps=_selected(steps, cell, only))


def _selected(steps: Iterable[Step], cell: Cell, only: Container[str] | None) -> tuple[Step, ...]:
    """Return the steps of a cell, `only` those of these names.

    A cell with a start method has no steps of the build without it: that build's own cell has them. Where perf is not
    made, the other steps have nothing to look at.
    """
    own = tuple(step for step in steps if _is_of(step, cell))
    return tuple(step for step in own if only is None or step.name in only)


def _is_of(step: Step, cell: Cell) -> bool:
    if cell.build.start_method:
        return step.name in START_METHOD_STEPS
    return cell.build.makes_program or step.name == "build"


@dataclass(frozen=True)
class _Planner:
    """The circumstances that the steps of one cell share. `edited` are files inside the cell."""

    cell: Cell
    jobs: int
    timeout_s: int
    edited: tuple[str, ...]

    def step(self, name: str, summary: str, *commands: Command) -> Step:
        """Return a step with the first build's environment."""
        environment = environments.of_builds(self.cell)["first"]
        return Step(name=name, summary=summary, commands=commands, environment=environment, timeout_s=self.timeout_s)

    def make(self, *goals: str, more_jobs: int = 0) -> Command:
        """Return the command that runs make, traced; without goals those of the build."""
        argv = make_argv(self.cell, self.jobs + more_jobs, *(goals or self.cell.build.goals))
        return Command(label="make", argv=argv, traced=True)


def _build(planner: _Planner) -> Step:
    step = planner.step("build", "build from scratch", planner.make(), CLOCK)
    return step.model_copy(update={"touch": planner.edited})


def _self_test(planner: _Planner) -> Step:
    cell = planner.cell
    output = output_folder(cell)
    program = f"{output}/{perf.PROGRAM}"
    commands = [
        Command(label="options", argv=(program, "version", "--build-options"), captured=True),
        Command(label="features", argv=("cat", f"{output}/{perf.FEATURE_DUMP}"), captured=True),
    ]
    if cell.perf_tests:
        commands.append(Command(label="tests", argv=(program, "test", *cell.perf_tests), captured=True))
    step = planner.step("self-test", "run the program and its own tests", *commands)
    return step.model_copy(update={"keep_going": True})


def _regenerate(planner: _Planner) -> Step | None:
    """Plan make after the generator was touched, with the start method that the build forces on it."""
    method = planner.cell.build.start_method
    if not method:
        return None
    summary = f"make with the start method {method}, after the generator was touched"
    step = planner.step("regenerate", summary, planner.make())
    touched = (perf.in_cell(perf.GENERATOR),)
    return step.model_copy(update={"environment": environments.forced(step.environment, method), "touch": touched})


def _generate(planner: _Planner) -> Step | None:
    """Plan the generator's repetition, in builds that force a start method."""
    method = planner.cell.build.start_method
    if not method:
        return None
    step = planner.step("generate", "repeat the generator's own command under every start method")
    facts = {"replays": posixpath.basename(perf.GENERATOR), "keep_going": True}
    return step.model_copy(update={**facts, "environment": environments.forced(step.environment, method)})


def _build_again(planner: _Planner) -> Step:
    """Plan the second build: another container, time, locale, umask and number of jobs; the same path."""
    summary = "build from scratch under other circumstances"
    step = planner.step("build-again", summary, planner.make(more_jobs=1), CLOCK)
    circumstances = {
        "place": "second",
        "touch": planner.edited,
        "environment": environments.of_builds(planner.cell)["second"],
        "umask": 0o002,
    }
    return step.model_copy(update=circumstances)


def _rebuild(planner: _Planner) -> Step:
    return planner.step("rebuild", "make again, nothing changed", planner.make())


def _touch_source(planner: _Planner) -> Step:
    step = planner.step("touch-source", "make after one source file was touched", planner.make())
    return step.model_copy(update={"touch": (perf.in_cell(planner.cell.tree.touch_source),)})


def _touch_header(planner: _Planner) -> Step:
    step = planner.step("touch-header", "make after one header was touched", planner.make())
    return step.model_copy(update={"touch": (perf.in_cell(planner.cell.tree.touch_header),)})


def _database(planner: _Planner) -> Step:
    command = Command(label="make", argv=database_argv(planner.cell))
    step = planner.step("database", "print the rules that every make knows, and run none of them", command)
    return step.model_copy(update={"declares": True})


def _clean(planner: _Planner) -> Step:
    return planner.step("clean", "make clean", planner.make("clean"))


# The second build comes before any step that changes the first one's output, so that both can be compared byte by byte;
# `rebuild` before the touches, which leave work to do if make misses some; `clean` last, as it leaves nothing.
STEPS = (
    _build,
    _self_test,
    _regenerate,
    _generate,
    _build_again,
    _rebuild,
    _touch_source,
    _touch_header,
    _database,
    _clean,
)
"""The functions that plan a step each, in the order in which the steps run; None is for a step that a cell lacks."""


START_METHOD_STEPS = ("build", "regenerate", "generate")
"""The steps of a cell with a start method."""


def invocations(step: Step) -> list[Invocation]:
    """Return a step's commands as they are planned."""
    return [Invocation(command, step.environment) for command in step.commands]


def replays(step: Step, argv: tuple[str, ...]) -> list[Invocation]:
    """Return the generator's command for each start method, into a folder of its own.

    `argv` is the generator's command line in the build.
    """
    planned = []
    for method in START_METHODS:
        folder = f"{GENERATED}/{method}"
        command = Command(label=method, argv=into(folder, argv), traced=True)
        planned.append(Invocation(command, environments.forced(step.environment, method), folder))
    return planned


def into(folder: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a generator's command line with its outputs, the words that end in `.c`, in another folder."""
    return tuple(f"{folder}/{word.rpartition('/')[2]}" if word.endswith(".c") else word for word in argv)
