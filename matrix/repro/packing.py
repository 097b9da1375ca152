"""The bundle of an original: its result, and the logs, the recipe and the patch that this machine has of it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from matrix import paths
from matrix.errors import UsageError
from matrix.repro import bundle, consistency
from matrix.trees import git

if TYPE_CHECKING:
    from matrix.model.tree import Delta
    from matrix.repro.original import Original


def logs(first: Original) -> dict[str, bytes]:
    """Return the logs beside a result by their names; a long one is shortened, so that memory can hold them all."""
    if first.logs is None or not first.logs.is_dir():
        return {}
    return {path.name: _cut(path) for path in sorted(first.logs.iterdir()) if _is_log(path)}


def _is_log(path: Path) -> bool:
    """Return whether a path is a plain file with a name that a bundle takes."""
    # A link could lead to a file of the sender's that is no log.
    is_plain = path.is_file() and not path.is_symlink()
    return is_plain and bundle.LOG.fullmatch(f"logs/{path.name}") is not None


def _cut(path: Path) -> bytes:
    """Return a log, or both ends of a long one: together too long for a bundle, so that `bundle.cut` marks the gap."""
    size, most = path.stat().st_size, 2 * bundle.LOG_BYTES
    file: IO[bytes]
    with path.open("rb") as file:
        if size <= most:
            return file.read(most)
        head = file.read(bundle.LOG_BYTES)
        file.seek(size - bundle.LOG_BYTES)
        return head + file.read(bundle.LOG_BYTES)


def patch(first: Original) -> bytes | None:
    """Return the difference of the result's tree to its source as git's patch, or None where they are the same.

    Raises:
        UsageError: the repository or a commit no longer exists, or a stranger's result names the repository.

    """
    delta = consistency.definition(first.result).tree.delta
    if delta is None:
        return None
    # A stranger may name any folder here: git would read its configuration, and a bundle take its content out.
    if first.own is None:
        raise UsageError(
            f"the result of {first.result.id} has a patch, which is in a repository of its sender's",
            "Only who ran it can bundle it: ask for `perf-matrix bundle`'s file.",
        )
    return _difference(delta)


def _difference(delta: Delta) -> bytes:
    # --binary and --full-index: the patch must apply where the objects are unknown; the --no-… options keep programs of
    # the user's configuration out of it (git-diff(1)).
    words = ["diff", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options"]
    done = git.attempt(Path(delta.repository), *words, delta.base, delta.commit)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise UsageError(
            f"the patch of {delta.base[:12]}..{delta.commit[:12]} cannot be made: {reason}",
            f"Its repository was {delta.repository}.",
        )
    return done.stdout


def bundled(first: Original) -> bytes:
    """Return the bundle of an original: its result, logs, recipe and patch, without the places of this machine.

    Raises:
        UsageError: the result has no definition, its patch cannot be made, or a member is too large.

    """
    return bundle.pack(first.result, logs(first), patch(first), places(first))


def places(first: Original) -> tuple[str, ...]:
    """Return the folders of this machine whose names a bundle must not have."""
    own = [str(first.own.folder), *first.own.settings().configs] if first.own else []
    return (*own, str(paths.state()), str(paths.cache()), str(paths.runtime()), str(Path.home()))
