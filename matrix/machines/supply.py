"""The supply of a group on a worker: its settings, configuration, trees and done cells, from the run's command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import TypeAdapter

from matrix import files
from matrix.errors import UsageError
from matrix.machines import packs
from matrix.model.base import first_problem
from matrix.trees import differences, tar_members, volumes
from matrix.trees.sources import Source
from matrix.trees.tree_cache import TreeCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.machines.group import Group
    from matrix.machines.messages import Blob, SentTree
    from matrix.trees.sources import Member

_FOLDERS: TypeAdapter[list[dict[str, str]]] = TypeAdapter(list[dict[str, str]])
"""The user's folders of configuration: the text of each file by its path."""


def provide(group: Group) -> None:
    """Write all that a group's cells need into its run directory and the machine's cache of trees.

    Raises:
        UsageError: something that arrived is not what was promised.
        StoppedError: the group is no longer wanted.

    """
    request, run = group.request, group.run
    folders = _folders(group)
    settings = request.settings.model_copy(update={"run": run.name, "configs": tuple(map(str, folders))})
    run.save_settings(settings)
    run.pins.mkdir(exist_ok=True)
    for name, content in request.trees.items():
        provide_tree(content, group.fetch)
        volumes.note(run.pins / name, content.sha256, content.origin)
    for commit, blob in request.differences.items():
        group.fetch(blob).replace(differences.path(run.pins, commit))
    if request.has_given:
        for cell_id, blob in group.ask_for_given().cells.items():
            packs.unpack(group.fetch(blob), run, cell_id)


def _folders(group: Group) -> list[Path]:
    """Return the user's folders of configuration, written into the group's run directory."""
    blob = group.request.configs
    if blob is None:
        return []
    path = group.fetch(blob)
    try:
        folders = _FOLDERS.validate_json(files.read(path))
    except ValueError as error:
        raise UsageError(f"the folders of configuration cannot be read: {first_problem(error)}") from error
    made = []
    for number, texts in enumerate(folders):
        folder = group.run.folder / "configs" / str(number)
        for name, text in texts.items():
            files.write(folder / checked(name), text)
        made.append(folder)
    return made


def checked(name: str) -> str:
    """Return a path below a folder of configuration.

    Raises:
        UsageError: the path leads out of the folder.

    """
    parts = name.split("/")
    if not all(parts) or any(part.startswith(".") for part in parts):
        raise UsageError(f"a file of configuration has the path {name!r}")
    return name


def lacks(content: SentTree) -> bool:
    """Return whether a tree is not in this machine's cache."""
    return TreeCache.of_this_machine().facts(content.sha256) is None


def provide_tree(content: SentTree, fetch: Callable[[Blob], Path]) -> None:
    """Have a tree in this machine's cache: from the archive that is fetched, unless the cache has it.

    Raises:
        UsageError: the tree that is made of the archive has another content hash.

    """
    cache = TreeCache.of_this_machine()
    with FileLock(cache.folder / f"{content.sha256[:32]}.arrival.lock"):
        if not lacks(content):
            return
        archive = fetch(content.archive)
        found = cache.get(Source(content.origin, "", lambda: _members(archive)), _unsaid)
        archive.unlink()
    if found.sha256 != content.sha256:
        raise UsageError(f"the tree that arrived is {found.sha256}, not {content.sha256}")


def _members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file:
        yield from tar_members.members(file, archive.name)


def _unsaid(_line: str) -> None:
    """Drop a remark on a tree: the run's command has shown it."""


def folders_text(folders: list[Path]) -> bytes:
    """Return the user's folders of configuration as the file that a worker reads them from."""
    return json.dumps([_texts(folder) for folder in folders]).encode()


def _texts(folder: Path) -> dict[str, str]:
    found = (path for path in sorted(folder.rglob("*.yaml")) if path.is_file())
    texts = {str(path.relative_to(folder)): path.read_text() for path in found}
    return {name: text for name, text in texts.items() if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
