"""The files that are made from others, as the command lines of a build's processes show. Pure."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.trace import file_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matrix.scenario.step_facts import Process, StepFacts

_PART = re.compile(r"\.(o|a|so[\w.-]*|c|h|bpf\.o|skel\.h)$")


def graph(step: StepFacts, *, shells: bool = True) -> dict[str, set[str]]:
    """Map each part of a build (source, object, library, skeleton) to the files that a command made from it.

    A recipe's shell adds what it redirects, pipes or loops over (`printf … | xargs ar`), whose files it alone names;
    it can name more than is made from each. Without `shells` there is only what programs say themselves.
    """
    found: dict[str, set[str]] = defaultdict(set)
    processes = step.processes if shells else itertools.filterfalse(_is_shell, step.processes)
    for part, outputs in itertools.chain.from_iterable(map(_edges, processes)):
        found[part].update(outputs)
    return dict(found)


def _is_shell(process: Process) -> bool:
    return process.program in file_access.SHELLS


def _edges(process: Process) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each part that a process reads, with the files that it writes from it."""
    for flow in file_access.of(process).flows:
        if flow.writes:
            yield from ((part, flow.writes) for part in filter(_PART.search, flow.reads))


def reachable(edges: Mapping[str, set[str]], start: Iterable[str]) -> set[str]:
    """Return `start` and all that is made from it, directly or not."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += edges.get(path, ())
    return found


def object_of(command_file: str) -> str:
    """Return the object that kbuild's `.NAME.o.cmd` belongs to."""
    folder, name = posixpath.split(command_file)
    return posixpath.join(folder, name.removeprefix(".").removesuffix(".cmd"))


def dependents(step: StepFacts, touched: str, output: str) -> set[str]:
    """Return the objects whose command files say that they depend on a file that a step touched."""
    found = {
        object_of(command_file)
        for command_file, words in step.mentions.items()
        if _mentions(words, touched, (perf.FOLDER, output, posixpath.dirname(command_file)))
    }
    return found & step.files.keys()


def _mentions(words: Iterable[str], path: str, roots: Iterable[str]) -> bool:
    """Return whether one of the words names a path, relative to any of the roots."""
    pairs = itertools.product(roots, words)
    return any(posixpath.normpath(posixpath.join(root, word)) == path for root, word in pairs)
