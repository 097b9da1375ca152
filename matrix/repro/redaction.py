"""The redaction of a result before it is sent: private folders and facts of the host are taken out. Pure."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from matrix.model.result import CellResult
from matrix.repro import consistency
from matrix.scenario import environments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.model.cell import Cell
    from matrix.model.result import StepResult, TreeIdentity

PLACE = "/PRIVATE"
"""The word in place of a private path; a shell need not quote it, so a command with it reads as its plan does."""

# The facts of a host that a reproduction compares; all others, as its name, stay on the machine.
HOST = (
    "engine", "api", "kernel", "architecture", "storage", "cgroup", "cpus", "memory_bytes", "btf_sha256",
)  # fmt: skip
PRIVATE_SCHEMES = ("git", "dir", "tar")
"""The schemes of sources that may be folders and files of one machine."""

REPRODUCE = "perf-matrix repro --from BUNDLE"
# A character that goes on with a path in a log: what separates words there ends it, so that no text after it is lost.
_REST = r"""[^\s/'"`:,;()<>|&$\\]"""
# Home folders of Linux and macOS; /tmp/home is the one in every cell, and tells nothing.
_HOMES = rf"(?<!/tmp)/home/{_REST}+|/Users/{_REST}+|/root(?![\w.-])"
# Sources that anyone has; a URL of any other host may name a private server.
_PUBLIC = re.compile(r"tar:https://(?:[a-z0-9-]+\.)*kernel\.org/[A-Za-z0-9._/+-]+(?:#sha256=[0-9a-f]{64})?")
_REVISION = re.compile(r"[\w.^~/-]+")
_ORIGIN = re.compile(r"@([\w.^~/-]+) \(([0-9a-f]{12})\)")


def text(given: str, places: Iterable[str]) -> str:
    """Return text in which these folders, all home folders, and the paths below them are replaced by PLACE.

    A place of one part (`/tmp`) is not replaced, as a cell has a folder of the same name.
    """
    # The longest first, as of a folder and one below it a pattern takes the first that matches.
    names = sorted({place.rstrip("/") for place in places}, key=lambda place: (-len(place), place))
    known = [re.escape(place) for place in names if place.count("/") > place.startswith("/")]
    return re.sub(rf"(?:{'|'.join([*known, _HOMES])}){_REST}*(?:/{_REST}*)*", PLACE, given)


def log(given: bytes, places: Iterable[str]) -> bytes:
    """Return a log without the names of these folders; bytes that are no UTF-8 stay as they are."""
    return text(given.decode("utf-8", "surrogateescape"), places).encode("utf-8", "surrogateescape")


def result(given: CellResult, places: Iterable[str]) -> CellResult:
    """Return a result without the names of these folders and of the private ones that it names, and with HOST alone.

    The redacted result is consistent with its redacted definition, as its receiver checks that.

    Raises:
        UsageError: the result has no definition.

    """
    before = consistency.definition(given)
    hidden = (*places, *private(given))
    definition = before.model_copy(update={"tree": _tree(before)})
    bare = given.model_copy(
        update={
            "definition": definition,
            "tree": _identity(given.tree) if given.tree else None,
            "host": {name: given.host[name] for name in HOST if name in given.host},
            "reproduce": REPRODUCE,
        }
    )
    # As JSON, every text of a result is found, in whatever field a later version puts it.
    scrubbed = CellResult.model_validate_json(json.dumps(_walk(bare.model_dump(mode="json"), hidden)))
    # Facts that follow from the definition are derived anew, as replaced text in them might not be what a plan gives.
    after = consistency.definition(scrubbed)
    now = {
        "make": after.make,
        "environment": environments.of_builds(after)["first"],
        "steps": tuple(_steps(given, scrubbed, before, after)),
    }
    return scrubbed.model_copy(update=now)


def private(given: CellResult) -> tuple[str, ...]:
    """Return the folders that a result names on its machine: its source's, its repository's, its configuration's."""
    definition = consistency.definition(given)
    found = [_path(definition.tree.source), *_config_folders(given.reproduce)]
    if given.tree:
        found.append(_path(given.tree.source))
    if definition.tree.delta:
        found.append(definition.tree.delta.repository)
    return tuple(filter(None, found))


def _config_folders(command: str) -> list[str]:
    """Return the folders that a command line names by --configs."""
    return [word for option, word in itertools.pairwise(_words(command)) if option == "--configs"]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # an unclosed quote, which no command of ours has
        return []


def _path(source: str) -> str:
    """Return the folder or file that a source names, or nothing for a public source."""
    scheme, _, rest = source.partition(":")
    if scheme not in PRIVATE_SCHEMES or _PUBLIC.fullmatch(source):
        return ""
    return _repository(rest) if scheme == "git" else rest


def _repository(rest: str) -> str:
    """Return `PATH` of a git source's `PATH@REV`."""
    return rest.rpartition("@")[0] or rest


def _source(source: str) -> str:
    """Return a source without its path: its scheme and the revision of a git source remain; public ones stay whole."""
    scheme, _, rest = source.partition(":")
    if scheme == "deb" or _PUBLIC.fullmatch(source):
        return source
    return f"git:private{_at_revision(rest)}" if scheme == "git" else f"{scheme}:private"


def _at_revision(rest: str) -> str:
    """Return the `@REV` of a git source's `PATH@REV`, or nothing where the words after `@` may be part of a path."""
    _, at, revision = rest.rpartition("@")
    return f"@{revision}" if at and _REVISION.fullmatch(revision) else ""


def _tree(cell: Cell) -> Any:
    tree = cell.tree
    source = _source(tree.source)
    update: dict[str, Any] = {"source": source}
    # A tree that was asked for by its source has the source as its summary.
    names_a_place = tree.summary.partition(":")[0] in PRIVATE_SCHEMES
    if names_a_place or tree.summary == tree.source:
        update["summary"] = source
    if tree.delta:
        update["delta"] = tree.delta.model_copy(update={"repository": "private"})
    return tree.model_copy(update=update)


def _identity(tree: TreeIdentity) -> TreeIdentity:
    source = _source(tree.source)
    origin, edited, names = tree.origin.partition(", edited: ")
    if source != tree.source:
        revision = _ORIGIN.search(origin)
        origin = f"{revision[1]} ({revision[2]})" if revision else "private"
    return tree.model_copy(update={"source": source, "origin": f"{origin}{edited}{names}"})


def _walk(value: Any, places: tuple[str, ...]) -> Any:
    """Return a JSON value without the names of these folders, in keys as in values."""
    if isinstance(value, str):
        return text(value, places)
    if isinstance(value, list):
        return [_walk(one, places) for one in value]
    if isinstance(value, dict):
        return {text(key, places): _walk(one, places) for key, one in value.items()}
    return value


def _steps(given: CellResult, scrubbed: CellResult, before: Cell, after: Cell) -> Iterator[StepResult]:
    """Yield the steps of a redacted result with the commands that its redacted definition gives.

    A command that was not the original definition's stays as it is, so that its receiver sees the difference.
    """
    old, new = consistency.commands(before, given), consistency.commands(after, scrubbed)
    for was, step in zip(given.steps, scrubbed.steps, strict=True):
        known = was.command == old.get(was.name)
        yield step.model_copy(update={"command": new[was.name] if known else step.command})
