"""A traced build as the jobs of its makes: the CPU time of each, and the jobs that each one needs. Pure.

The needs of a job are the prerequisites that its make declares (the data base of `make -pn`) and the files that its own
words name. Start times do not show needs: a job that waited for a free slot looks like one that waited for a file.
"""

from __future__ import annotations

import itertools
import posixpath
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from matrix.trace import file_access, make_arguments
from matrix.trace.make_arguments import is_make
from matrix.trace.timeline import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matrix.scenario.make_database import Database
    from matrix.scenario.step_facts import Process
    from matrix.trace.timeline import Job, Timeline


@dataclass(frozen=True)
class Task:
    """A line of a recipe: `serial_s` are CPU seconds on one core, `pool_s` those that a pool of processes shares.

    `process` is the index of the line's process; `needs` are positions among the tasks of its make; `nested` is the
    make that the line runs, if it runs one.
    """

    process: int
    name: str
    serial_s: float
    pool_s: float
    needs: frozenset[int]
    nested: Make | None


@dataclass(frozen=True)
class Make:
    """One make; `tasks` are in the order of their starts, `parse_s` are the CPU seconds before the first of them.

    `process` is the index of its process; `declared` says whether its rules are known.
    """

    process: int
    name: str
    parse_s: float
    tasks: tuple[Task, ...]
    declared: bool


class _TargetPaths(NamedTuple):
    """The absolute paths of a data base's targets: `of` maps their names in it to paths, `names` paths to names."""

    of: dict[str, str]
    names: dict[str, str]

    @classmethod
    def of_database(cls, database: Database) -> _TargetPaths:
        paths = {name: posixpath.normpath(posixpath.join(database.folder, name)) for name in database.rules}
        return cls(paths, {path: name for name, path in paths.items()})


@dataclass
class _TimelineReader:
    """The state of one reading: `jobs` by the index of their make, `paths` by the words that tell data bases apart."""

    timeline: Timeline
    databases: Mapping[tuple[str, ...], Database]
    jobs: Mapping[int, Sequence[Job]]
    paths: dict[tuple[str, ...], _TargetPaths] = field(default_factory=dict)

    def make(self, process: Process) -> Make:
        """Return a make with its tasks and the makes nested in them."""
        jobs = self.jobs.get(process.index, ())
        # `$(shell)` functions before the first line of a recipe belong to the reading of makefiles; a later one is run
        # when make expands the recipe after it.
        parsing = list(itertools.takewhile(_is_shell_function, jobs))
        parse_s = process.cpu_ns / 1e9 + sum(self._cpu_s(job) for job in parsing)
        lines = list(itertools.filterfalse(_is_shell_function, jobs))
        before_s = self._shell_functions_s(jobs[len(parsing) :])
        database = self.databases.get(_key(process))
        needs = self._needs(lines, database)
        tasks = [self._task(job, before_s[number], needs[number]) for number, job in enumerate(lines)]
        return Make(process.index, self.timeline.targets.goal(process), parse_s, tuple(tasks), database is not None)

    def _shell_functions_s(self, jobs: Iterable[Job]) -> Mapping[int, float]:
        """Map the position of each line of a recipe to the CPU seconds of the `$(shell)` functions right before it."""
        found: dict[int, float] = defaultdict(float)
        position = 0
        for job in jobs:
            if _is_shell_function(job):
                found[position] += self._cpu_s(job)
            else:
                position += 1
        return found

    def _cpu_s(self, job: Job) -> float:
        return self.timeline.tree.cpu_s(job.process)

    def _task(self, job: Job, before_s: float, needs: frozenset[int]) -> Task:
        """Return the task of a job; `before_s` are the CPU seconds of the `$(shell)` functions in its recipe."""
        nested = self._nested(job.process)
        pool_s = 0.0
        serial_s = before_s + self.timeline.tree.cpu_s(job.process)
        if nested:
            serial_s -= self.timeline.tree.cpu_s(nested)
        else:
            pool_s = sum(self.timeline.tree.cpu_s(worker) for worker in self._workers(job.process))
            serial_s -= pool_s
        name = job.target or self.timeline.name(job.process)
        inner = self.make(nested) if nested else None
        # The difference of two sums of fractions may come out a little below 0.
        return Task(job.process.index, name, max(serial_s, 0.0), pool_s, needs, inner)

    def _nested(self, process: Process) -> Process | None:
        """Return the one make that a job runs, itself or through its shell; a job with several makes has none."""
        if is_make(process):
            return process
        below = self.timeline.tree.makes_below(process)
        return below[0] if len(below) == 1 else None

    def _workers(self, process: Process) -> Iterator[Process]:
        """Yield the workers of Python's process pools below a process: forks without an exec, or spawned programs.

        A fork server, whose children are the workers, is yielded as one worker with all below it.
        """
        for child in self.timeline.tree.children.get(process.index, ()):
            if _is_worker(child, process):
                yield child
            else:
                yield from self._workers(child)

    def _needs(self, jobs: Sequence[Job], database: Database | None) -> list[frozenset[int]]:
        """Return for each job the positions of the jobs it needs: of each file or target, the last job that made it."""
        positions = _Positions.of(jobs)
        found = []
        for number, job in enumerate(jobs):
            waited_for = self._declared(job, database) if database else self._seen(job, jobs)
            needed = positions.makers({*waited_for, *_named(job)} - {job.target})
            line_before = positions.line_before(number, job.target)
            found.append(frozenset({*line_before, *needed} - {number}))
        return _without_cycles(found)

    def _declared(self, job: Job, database: Database) -> Iterable[str]:
        """Return the paths of all targets that a job's target waits for, as its make declares them."""
        paths = self._paths(database)
        # A rule with several outputs may stand in the data base under another one than the job's target.
        declared = [paths.names[path] for path in (job.target, *job.outputs) if path in paths.names]
        below = database.below(declared[0]) if declared else ()
        return [paths.of[name] for name in below]

    def _paths(self, database: Database) -> _TargetPaths:
        key = _of(database)
        if key not in self.paths:
            self.paths[key] = _TargetPaths.of_database(database)
        return self.paths[key]

    def _seen(self, job: Job, jobs: Sequence[Job]) -> Iterable[str]:
        """Return the targets of nested makes that ended before a job started: its needs where no rules are known."""
        before = [other for other in jobs if self.timeline.tree.end(other.process) <= job.process.start]
        return [other.target for other in before if self._nested(other.process)]


def _is_shell_function(job: Job) -> bool:
    return job.origin == Origin.SHELL


def _is_worker(process: Process, parent: Process) -> bool:
    """Return whether a process is a worker, or the fork server, of a pool of the Python that started it.

    The start methods are those of https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods.
    """
    if not parent.program.startswith("python"):
        return False
    # `fork` workers run no exec; the others are `python -c "from multiprocessing.spawn import spawn_main; …"` and the
    # like.
    return not process.argvs or any("multiprocessing" in word for word in process.argv)


@dataclass(frozen=True)
class _Positions:
    """The positions of a make's jobs, by their targets and by the files that they made."""

    by_target: Mapping[str, list[int]]
    last: Mapping[str, int]

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> _Positions:
        by_target = _by_target(jobs)
        last_line = {target: numbers[-1] for target, numbers in by_target.items()}
        return cls(by_target, {**_writers(jobs), **last_line})

    def makers(self, targets: set[str]) -> set[int]:
        """Return, for each of the targets that a job made, the position of the last job that made it."""
        return {self.last[target] for target in targets & self.last.keys()}

    def line_before(self, number: int, target: str) -> list[int]:
        """Return the position of the preceding line of the same recipe, or none; make runs the lines one by one."""
        earlier = [one for one in self.by_target.get(target, ()) if one < number]
        return earlier[-1:]


def _by_target(jobs: Sequence[Job]) -> dict[str, list[int]]:
    """Map each target to the positions of its jobs, one for each line of its recipe."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        if job.target:
            found[job.target].append(number)
    return found


def _writers(jobs: Sequence[Job]) -> dict[str, int]:
    """Map each written file to the first job that may have written it; later ones that name it rather read it."""
    found: dict[str, int] = {}
    for number, job in enumerate(jobs):
        for path in job.outputs:
            found.setdefault(path, number)
    return found


def _named(job: Job) -> tuple[str, ...]:
    return file_access.access(job.process.first, job.process.cwd).names


def _without_cycles(needs: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Return the needs without those on later jobs: a job that had started first cannot have waited for them.

    The recorded order of starts so makes the graph one without cycles.
    """
    return [frozenset(one for one in needed if one < number) for number, needed in enumerate(needs)]


def _key(process: Process) -> tuple[str, ...]:
    """Return the folder, `dir=`, `obj=` and goals of a make, which tell makes of one build apart (see `_of`)."""
    told = make_arguments.arguments(process.argv)
    folder = make_arguments.folder(process)
    return (folder, told.variables.get("dir", ""), told.variables.get("obj", ""), " ".join(told.goals))


def _of(database: Database) -> tuple[str, ...]:
    """Return the same four words of the make that printed a data base, from its variables."""
    names = ("CURDIR", "dir", "obj", "MAKECMDGOALS")
    return tuple(database.variables.get(name, "") for name in names)


def graph(timeline: Timeline, databases: Sequence[Database]) -> Make:
    """Return the first make of a traced build, with its tasks and all makes nested in them.

    Raises:
        ValueError: no make was traced, or the makes are nested too deep.

    """
    if not timeline.tree.makes:
        raise ValueError("no make was traced, so there is nothing to replay")
    jobs: dict[int, list[Job]] = defaultdict(list)
    for job in timeline.jobs:
        jobs[job.make.index].append(job)
    # A tree from a stranger may nest makes without end; no build of perf comes near Python's limit.
    try:
        return _TimelineReader(timeline, _merged(databases), jobs).make(timeline.tree.makes[0])
    except RecursionError as error:
        raise ValueError("its makes are nested too deep to replay") from error


def _merged(databases: Sequence[Database]) -> dict[tuple[str, ...], Database]:
    """Map the keys of makes (`_of`) to their data bases; makes with the same key share one with the rules of all."""
    found: dict[tuple[str, ...], Database] = {}
    for one in databases:
        before = found.get(_of(one))
        found[_of(one)] = one.model_copy(update={"rules": {**before.rules, **one.rules}}) if before else one
    return found


def undeclared(make: Make) -> tuple[int, int]:
    """Return the number of makes with unknown rules, and the number of all makes, among those that have tasks."""
    below = [undeclared(task.nested) for task in make.tasks if task.nested]
    own = bool(make.tasks)
    return (own and not make.declared) + sum(one for one, _ in below), own + sum(of for _, of in below)


def work_s(make: Make) -> float:
    """Return the CPU seconds of a make and of all makes nested in it."""
    return make.parse_s + sum(
        task.serial_s + task.pool_s + (work_s(task.nested) if task.nested else 0.0) for task in make.tasks
    )
