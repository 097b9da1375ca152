"""Ad-hoc builds: what a command line says of make, as a build that has no file. Pure.

The name is a hash of all that the build is, so that the same words are the same cell everywhere.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from matrix.errors import UsageError, did_you_mean
from matrix.model.base import GoalName, MakeName
from matrix.model.build import ADHOC, Build, Expect
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.config.load import Config

IMAGE, TOOLCHAIN = "debian-trixie", "gcc"
"""The image and the toolchain of an ad-hoc build unless others are named."""

_NAME: TypeAdapter[str] = TypeAdapter(MakeName)
_GOAL: TypeAdapter[str] = TypeAdapter(GoalName)
_HINTS = {"--make": "A goal of make's is --goal NAME.", "--env": "As --env LANG=C.UTF-8."}
_INSTEAD = {
    "O": "--out-of-tree builds with O=.",
    "JOBS": "-j says how many jobs make runs.",
    "MAKEFLAGS": "-j says how many jobs make runs.",
}
"""The variables that the program gives to make itself, and what to write instead."""


@dataclass(frozen=True)
class AdhocCells:
    """The cells of an ad-hoc build: on images by name, with one toolchain."""

    build: Build
    images: tuple[str, ...]
    toolchain: str

    @property
    def globs(self) -> tuple[str, ...]:
        """The places of the cells."""
        return tuple(f"{image}/{self.toolchain}/{self.build.name}" for image in self.images)

    def added(self, config: Config) -> Config:
        """Return a configuration with the build.

        Raises:
            UsageError: there is no such image, or it has no such toolchain.

        """
        for name in self.images:
            if name not in config.images or not config.images[name].toolchains:
                there = ", ".join(sorted(image.name for image in config.images.values() if image.toolchains))
                raise UsageError(f"no image {name!r}{did_you_mean(name, config.images)}", f"There are {there}.")
            known = config.images[name].toolchains
            if self.toolchain not in known:
                raise UsageError(f"image {name} has no toolchain {self.toolchain!r}", f"It has {', '.join(known)}.")
        return replace(config, builds={**config.builds, self.build.name: self.build})


def build(make: Iterable[str], environment: Iterable[str], goals: Iterable[str], *, out_of_tree: bool) -> Build:
    """Return the build of words `NAME=VALUE` for make and for its environment, and of make's goals.

    It expects nothing of what is built but that it runs: the words do not say what there should be.

    Raises:
        UsageError: a word is no `NAME=VALUE`, a name is given twice or to be given otherwise, or a goal is none.

    """
    found = Build(
        name="adhoc",
        summary="",
        make=_pairs("--make", make),
        environment=_pairs("--env", environment),
        goals=tuple(_goal(goal) for goal in goals),
        out_of_tree=out_of_tree,
        expect=Expect(linkage=None, bpf_skeletons=None),
    )
    found = found.model_copy(update={"makes_program": perf.makes_program(found.goals)})
    return found.model_copy(update={"name": name(found), "summary": _summary(found)})


def words(found: Build) -> list[str]:
    """Return the options of `perf-matrix run` that mean an ad-hoc build."""
    options = {
        "--make": [f"{name}={value}" for name, value in found.make.items()],
        "--env": [f"{name}={value}" for name, value in found.environment.items()],
        "--goal": list(found.goals),
    }
    pairs = ((option, word) for option, given in options.items() for word in given)
    return [*itertools.chain.from_iterable(pairs), *(["--out-of-tree"] if found.out_of_tree else [])]


def _pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in given:
        name, value = _pair(option, word)
        if name in found:
            raise UsageError(f"{option} gives {name} twice", "Name a variable once.")
        found[name] = value
    return found


def _pair(option: str, word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"{option} {word!r} is no NAME=VALUE", _HINTS[option])
    if not value.isprintable():
        raise UsageError(f"{option} {word!r} has a character that cannot be printed", "Give one line of text.")
    if not _is(_NAME, name):
        raise UsageError(f"{option} {word!r}: {name!r} is no name of a variable", "As --make NO_LIBELF=1.")
    instead = _INSTEAD.get(name) if option == "--make" else None
    if instead:
        raise UsageError(f"--make {word!r}: {name} is not for --make", instead)
    return name, value


def _goal(word: str) -> str:
    if not _is(_GOAL, word):
        hint = "A variable is --make NAME=VALUE." if "=" in word else "As --goal install, or --goal util/evsel.o."
        raise UsageError(f"--goal {word!r} is no goal of make's", hint)
    return word


def _is(kind: TypeAdapter[str], word: str) -> bool:
    try:
        kind.validate_python(word)
    except ValidationError:
        return False
    return True


def name(found: Build) -> str:
    """Return the name of an ad-hoc build, by its content."""
    content = found.model_dump(mode="json", exclude={"name", "summary"})
    return ADHOC + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _summary(found: Build) -> str:
    return f"of the command line: {shlex.join(_shown(found))}"


def _shown(found: Build) -> Iterator[str]:
    """Yield the words of a shell's command line with the same meaning."""
    yield from (f"{name}={value}" for name, value in found.environment.items())
    yield from ("make", "-C", "tools/perf")
    yield from (f"{name}={value}" for name, value in found.make.items())
    yield from (["O=…"] if found.out_of_tree else [])
    yield from found.goals
