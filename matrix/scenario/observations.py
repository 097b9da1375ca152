"""The observations of one cell: the facts of its steps, the files that they made and those that they changed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from matrix.scenario.plan import Scenario, Step, output_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matrix.scenario.elf_facts import ElfFacts
    from matrix.scenario.make_database import Database
    from matrix.scenario.step_facts import File, StepFacts


@dataclass(frozen=True)
class Observations:
    """The facts of one cell, which checks examine.

    `steps` are the facts of the steps that were run, in order. `lower` maps each path that a step wrote to and that the
    tree has to its mode and digest there. `ignore` maps folders of the tree to the texts of their .gitignore files.
    `elf` has the ELF facts by path inside the cell. `compact_tables` are the names of the compact event tables in the
    generated source. `differences` are the first lines of diffoscope's text. `databases` are those of the step
    `database`. `base` are the observations of the same cell on the base tree, if there is one.
    """

    scenario: Scenario
    steps: dict[str, StepFacts]
    lower: dict[str, tuple[int, str]]
    ignore: dict[str, str]
    elf: dict[str, ElfFacts]
    compact_tables: tuple[str, ...]
    generator_has_pool: bool
    differences: tuple[str, ...] = ()
    tree_version: str = ""
    databases: tuple[Database, ...] = ()
    base: Observations | None = None

    @property
    def output(self) -> str:
        """The folder inside the cell in which the build leaves perf."""
        return output_folder(self.scenario.cell)

    @property
    def lacking(self) -> Step | None:
        """The first step that was not run although no earlier step stood in its way; None where all were run."""
        return next((step for step in self.scenario.steps if self._is_lacking(step)), None)

    def _is_lacking(self, step: Step) -> bool:
        return step.name not in self.steps and not obstacle(step, self.steps.values())

    def done(self, name: str) -> StepFacts | None:
        """Return the facts of a step that was run and did not fail, or None."""
        step = self.steps.get(name)
        return step if step and not step.failure else None

    def made(self, name: str) -> Mapping[str, File]:
        """Return the files, by path, that are there after a step and not in the tree, or there with other bytes."""
        if name not in self._made:
            files = self.steps[name].files
            self._made[name] = {path: file for path, file in files.items() if not self._is_as_in_tree(path, file)}
        return self._made[name]

    @cached_property
    def _made(self) -> dict[str, dict[str, File]]:
        """The answers of `made` so far: each check asks again, of what may be 100,000 files."""
        return {}

    def _is_as_in_tree(self, path: str, file: File) -> bool:
        """Return whether the tree has a path with the same content; of a folder it is enough that it is there."""
        original = self.lower.get(path)
        if original is None or file.type == "whiteout":  # overlayfs's mark for a lower file that was removed
            return False
        return file.type == "directory" or original[1] == file.content

    @cached_property
    def previous(self) -> dict[str, str]:
        """Map each step to the one before it in the same container that looked at the same folders."""
        before: dict[str, str] = {}
        last: dict[tuple[str, bool], str] = {}
        for name, facts in self.steps.items():
            seen = (facts.step.place, bool(facts.step.replays))  # a replaying step scans GENERATED alone
            if seen in last:
                before[name] = last[seen]
            last[seen] = name
        return before

    def changed(self, name: str) -> Mapping[str, str]:
        """Return how each file (no folder) differs after a step from before it, as `created` or `content changed`."""
        if name not in self._changed:
            touched = self.steps[name].step.touch  # by the scenario, not by make
            # Every transcript of ours has a step before; a damaged one may lack it, and then all files are new.
            before = self.steps[self.previous[name]].files if name in self.previous else {}
            ways = _ways(before, self.steps[name].files)
            self._changed[name] = {path: way for path, way in ways if way and path not in touched}
        return self._changed[name]

    @cached_property
    def _changed(self) -> dict[str, dict[str, str]]:
        """The answers of `changed` so far."""
        return {}


class _Ended(Protocol):
    """A step that was run: its facts, or its end alone."""

    @property
    def step(self) -> Step: ...
    @property
    def failure(self) -> str: ...
    @property
    def ended(self) -> bool: ...


def obstacle(step: Step, earlier: Iterable[_Ended]) -> str:
    """Return the reason why a step cannot be run: the build, or an earlier step in its container, failed; else empty.

    The step `database` makes nothing, so it stands in nobody's way unless its container may have ended with it.
    """
    for ended in earlier:
        if ended.failure and _stands_in_the_way(ended, step):
            return f"step {ended.step.name} failed: {ended.failure}"
    return ""


def _stands_in_the_way(failed: _Ended, step: Step) -> bool:
    if failed.step.declares and failed.ended:
        return False
    return failed.step.name == "build" or failed.step.place == step.place


def _ways(before: Mapping[str, File], after: Mapping[str, File]) -> Iterator[tuple[str, str]]:
    """Yield each path with different facts in two steps, in order, with how it differs between them."""
    different = {path for path in after.keys() | before.keys() if before.get(path) != after.get(path)}
    for path in sorted(different):
        yield path, _way(before.get(path), after.get(path))


def _way(old: File | None, new: File | None) -> str:
    """Return how a path differs between two steps, or nothing where it does not or is a folder."""
    return "" if _is_folder(new or old) else _way_of_file(old, new)


def _way_of_file(old: File | None, new: File | None) -> str:
    if new is None or _is_removed(old, new):
        return "removed"
    return "created" if old is None else _difference(old, new)


def _is_folder(file: File | None) -> bool:
    return file is not None and file.type == "directory"


def _is_removed(old: File | None, new: File) -> bool:
    """Return whether a path became a whiteout, which is how a removed file of the tree looks."""
    was_whiteout = old is not None and old.type == "whiteout"
    return new.type == "whiteout" and not was_whiteout


def _difference(old: File, new: File) -> str:
    """Return in which respect a file differs."""
    # The strongest first: other content mostly has another inode and time, too, and one word must say the most.
    ways = (
        ((old.type, old.content) != (new.type, new.content), "content changed"),
        (old.ino != new.ino, "replaced by an equal file"),
        (old.mtime_ns != new.mtime_ns, "written again with equal content"),
        (old.mode != new.mode, "mode changed"),
        (_was_put_back(old, new), "written again, and its time put back"),
    )
    return next((way for differs, way in ways if differs), "")


def _was_put_back(old: File, new: File) -> bool:
    """Return whether an inode was changed that looks as before; transcripts of older versions have no ctime."""
    return None not in (old.ctime_ns, new.ctime_ns) and old.ctime_ns != new.ctime_ns
