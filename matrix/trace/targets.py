"""The target that a process of a traced build was for: the goal of a make, or the file that a recipe wrote. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from matrix.trace import file_access, make_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.scenario.step_facts import File, Process
    from matrix.trace.make_arguments import MakeArguments
    from matrix.trace.process_tree import ProcessTree

NEAR_S = 0.01
"""The seconds by which a file's mtime may lie outside of its writer's lifetime: the tick of the clock of mtimes."""

_BESIDE = re.compile(r"/\.[^/]*\.(cmd|d|tmp)$")
"""The files that kbuild keeps beside a target; they are no target's product."""
_COMBINED = "-in.o"
"""The end of the name of an object that tools/build links from all objects of a folder.

The names are described in tools/build/Documentation/Build.txt of the kernel.
"""


@dataclass(frozen=True)
class Targets:
    """The targets of a step's processes; `files` are the files after the step, by their paths in the cell."""

    tree: ProcessTree
    files: Mapping[str, File]

    def of(self, process: Process) -> tuple[str, tuple[str, ...]]:
        """Return the target of a process, or nothing where it has none, and all files that it wrote.

        The target is the goal of a nested make, a file that the process wrote, or else a file that its words name.
        """
        if make_arguments.is_make(process):
            return self.goal(process), ()
        access = file_access.access(process.first, process.cwd)
        named = list(filter(self._is_product, access.names))
        written = self._written_by(process, named)
        outputs = [path for path in access.writes if path in written]
        nested = map(self.goal, self.tree.makes_below(process))
        # The likeliest first. Of names that the process did not write in this step, the last: most programs take their
        # output last.
        likely = [*nested, *outputs, *written, *reversed(named)]
        return next(iter(likely), ""), tuple(written)

    def goal(self, make: Process) -> str:
        """Return the path of a make's first goal; a make of tools/build names its goal by `dir=` and `obj=`."""
        told = make_arguments.arguments(make.argv)
        if "obj" in told.variables:
            return self._combined_object(make, told)
        wanted = told.goals[0] if told.goals else "all"
        return posixpath.normpath(posixpath.join(make_arguments.folder(make), wanted))

    def _combined_object(self, make: Process, told: MakeArguments) -> str:
        """Return the path of the combined object that a make of tools/build made, or its name where there is none.

        Of several objects with this name (`O=`, several libraries), the one that the make wrote last is meant.
        """
        folder, stem = told.variables.get("dir", "."), told.variables["obj"]
        name = posixpath.normpath(f"{folder}/{stem}{_COMBINED}")
        same_name = self._combined_objects.get(posixpath.basename(name), ())
        found = [path for path in same_name if path.endswith(f"/{name}")]
        written = self._written_by(make, found)
        return max(written or found, key=self._mtime, default=name)

    def _mtime(self, path: str) -> int:
        return self.files[path].mtime_ns

    @cached_property
    def _combined_objects(self) -> Mapping[str, list[str]]:
        """The paths of all combined objects by their file names."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.files:
            if path.endswith(_COMBINED):
                found[posixpath.basename(path)].append(path)
        return found

    def _is_product(self, path: str) -> bool:
        file = self.files.get(path)
        is_file = file is not None and file.type == "file"
        return is_file and not _BESIDE.search(path)

    def _written_by(self, process: Process, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if self._is_written_by(path, process)]

    def _is_written_by(self, path: str, process: Process) -> bool:
        at = self.files[path].mtime_ns / 1e9
        return process.start - NEAR_S <= at <= self.tree.end(process) + NEAR_S
