"""What is made from what, as the command lines of a build's processes show it. Pure."""

from __future__ import annotations

import itertools
import posixpath
import re
from typing import TYPE_CHECKING

from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.scenario.observations import Process, StepFacts

_PART = re.compile(r"\.(o|a|so[\w.-]*|c|h|bpf\.o|skel\.h)$")
_COPIERS = ("cp", "mv", "ln", "install")
_SHELLS = ("sh", "bash", "dash")


def graph(step: StepFacts, *, shells: bool = True) -> dict[str, set[str]]:
    """Map each file to those made from it: the output of a command that names it as an input.

    Outputs are what follows `-o`, the archive that `ar` writes and what `cp` and its like copy to. A recipe's shell
    stands for the programs that it pipes or loops over (`printf … | xargs ar`), whose inputs it alone names; it names
    more than is made from each. Without `shells` there is only what programs say themselves.
    """
    found: dict[str, set[str]] = {}
    for process in step.processes:
        if not shells and process.program in _SHELLS:
            continue
        for source, outputs in _edges(process).items():
            found.setdefault(source, set()).update(outputs)
    return found


def _edges(process: Process) -> dict[str, set[str]]:
    if process.program in _COPIERS:
        return _copies(process)
    outputs = _outputs(process)
    return dict.fromkeys(_paths(process) - outputs, outputs) if outputs else {}


def _copies(process: Process) -> dict[str, set[str]]:
    """Map each source of `cp` and its like to its copy; options, and what `-m` and its like take, are no sources."""
    words = [word for word in process.argv[1:] if not word.startswith("-")]
    *sources, target = words or [""]
    named = [word for word in sources if _PART.search(word)]
    if target.endswith("/"):
        return {_resolve(process, word): {_resolve(process, target + posixpath.basename(word))} for word in named}
    return {_resolve(process, word): {_resolve(process, target)} for word in named[-1:]}


def _words(process: Process) -> list[str]:
    words: list[str] = []
    for word in process.argv:
        words += re.split(r"[\s;()'\"]+", word) if " " in word else [word]
    return words


def _resolve(process: Process, word: str) -> str:
    return posixpath.normpath(posixpath.join(process.cwd or "/", word))


def _paths(process: Process) -> set[str]:
    return {_resolve(process, word) for word in _words(process) if _PART.search(word) and not word.startswith("-")}


def _outputs(process: Process) -> set[str]:
    words = _words(process)
    outputs = {_resolve(process, after) for word, after in itertools.pairwise(words) if word == "-o"}
    archiver = process.program.endswith("ar") or (process.program in _SHELLS and any(w.endswith("ar") for w in words))
    if archiver:
        outputs |= {_resolve(process, word) for word in words if word.endswith(".a")}
    return outputs


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
    found = set()
    for command_file, words in step.mentions.items():
        roots = (perf.FOLDER, output, posixpath.dirname(command_file))
        if any(posixpath.normpath(posixpath.join(root, word)) == touched for word in words for root in roots):
            found.add(object_of(command_file))
    return found & step.files.keys()
