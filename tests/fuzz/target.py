"""A fuzz target: a parser of untrusted bytes, the errors that are its own, and bytes to begin with."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
REGRESSIONS = HERE / "regressions"


@dataclass(frozen=True)
class Target:
    """A parser under test.

    `parse` gives it the bytes; any exception but those of `own` is a failure. `seeds` are inputs that it takes, `words`
    pieces that its grammar is made of. `growing` maps a name to a function from a size to a hostile input of about that
    size, whose cost must grow no faster than the size. `is_json` lets the mutator change values of a JSON text.
    """

    name: str
    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    own: tuple[type[Exception], ...] = ()
    words: tuple[bytes, ...] = ()
    growing: Mapping[str, Callable[[int], bytes]] = field(default_factory=dict)
    is_json: bool = False
    cost: int = 1
    """The cost of an input against a cheap target's, by which CI takes fewer inputs."""

    @property
    def regressions(self) -> list[Path]:
        """The files of inputs that once failed, each named by the beginning of its SHA-256."""
        folder = REGRESSIONS / self.name
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def failure(self, data: bytes) -> Exception | None:
        """Return the exception of an input that is none of the parser's own."""
        try:
            self.parse(data)
        except self.own:
            return None
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return error
        return None


def registry() -> dict[str, Target]:
    """Return every target by its name: those that the modules of targets/ list as TARGETS."""
    found: dict[str, Target] = {}
    for path in sorted((HERE / "targets").glob("*.py")):
        for target in _targets_of(path):
            assert target.name not in found, f"two targets are named {target.name}"
            found[target.name] = target
    return found


def _targets_of(path: Path) -> tuple[Target, ...]:
    module = importlib.import_module(f"tests.fuzz.targets.{path.stem}")
    targets: tuple[Target, ...] = module.TARGETS
    return targets
