"""The graph of a build's files: which file is made from which, by the command lines of its processes. Pure."""

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

# The files that make up perf; other readings (a script, a list of symbols) do not make a file a part of a product.
_PART = re.compile(r"\.(o|a|so[\w.-]*|c|h|bpf\.o|skel\.h)$")


def graph(step: StepFacts, *, shells: bool = True) -> dict[str, set[str]]:
    """Map each part of a build (source, object, library, skeleton) to the files that a command made from it.

    With `shells` the scripts of recipes count too: they alone name the files of redirections, pipes and loops
    (`printf … | xargs ar`), but may name more than is made from each part. Without, only programs' own words count.
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
    """Return the files of `start` and all files that are made from them, directly or through others."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += edges.get(path, ())
    return found


def object_of(command_file: str) -> str:
    """Return the path of the object `NAME.o` to which kbuild's command file `.NAME.o.cmd` belongs.

    Command files are described in tools/build/Documentation/Build.txt of the kernel, section "Dependencies".
    """
    folder, name = posixpath.split(command_file)
    return posixpath.join(folder, name.removeprefix(".").removesuffix(".cmd"))


def dependents(step: StepFacts, touched: str, output: str) -> set[str]:
    """Return the objects with a command file that names `touched`, a file's path in the cell.

    `output` is the folder of the build's output.
    """
    found = {
        object_of(command_file)
        for command_file, words in step.mentions.items()
        # fixdep keeps names as the compiler had them, relative to the folder that its make ran in.
        if _mentions(words, touched, (perf.FOLDER, output, posixpath.dirname(command_file)))
    }
    # A command file may outlive its object.
    return found & step.files.keys()


def _mentions(words: Iterable[str], path: str, roots: Iterable[str]) -> bool:
    """Return whether one of the words, taken relative to one of the roots, is the path."""
    pairs = itertools.product(roots, words)
    return any(posixpath.normpath(posixpath.join(root, word)) == path for root, word in pairs)
