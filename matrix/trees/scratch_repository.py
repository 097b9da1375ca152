"""A scratch repository of our own, where patches are applied: to an index, without a work tree or hooks.

It borrows the objects of the user's repository, which is never written to; or it holds a tree that came as an archive.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from matrix import files
from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import git, git_objects
from matrix.trees.git_objects import GITLINK, LINK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.model.tree import Delta
    from matrix.trees.patches import Patch

EMPTY_DATE = "946684800 +0000"
MAX_BYTES = 256 << 20
_FAILED = re.compile(r"^error: patch failed: (.+):(\d+)$", re.M)
_ERROR = re.compile(r"^error: (.+)$", re.M)


@dataclass(frozen=True)
class CommitFile:
    """A file of a commit: its permission bits and content, or with `link` what it points to."""

    mode: int
    content: bytes
    link: bool = False


@dataclass(frozen=True)
class Refused:
    """A patch that does not apply, and for each file why not."""

    patch: Patch
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Scratch:
    """A bare repository in the cache."""

    folder: Path

    def apply(self, base: str, patches: Sequence[Patch]) -> tuple[tuple[str, ...], Refused | None]:
        """Apply patches one after the other; return the commits made, and the patch that could not be, if any.

        The same patches on the same base make the same commits.
        """
        made: list[str] = []
        with tempfile.TemporaryDirectory(prefix="perf-matrix-") as name:
            env = {"GIT_INDEX_FILE": f"{name}/index"}
            git.run(self.folder, "read-tree", base, env=env)
            for patch in patches:
                words = ("apply", "--cached", "--whitespace=nowarn", "-v", "-")
                done = git.bounded(self.folder, *words, stdin=patch.diff, env=env)
                if done.returncode:
                    return tuple(made), Refused(patch, _reasons(patch, done.stderr.decode(errors="replace")))
                made.append(self._commit(patch, made[-1] if made else base, env))
        return tuple(made), None

    def changed(self, before: str, after: str) -> dict[str, str]:
        """Map the paths that two commits differ in to git's letter for how: `A`, `D`, `M`, or `T` for type and mode."""
        words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", before, after)
        fields = git.run(self.folder, *words).split(b"\0")
        found = {}
        for facts, name in zip(fields[::2], fields[1::2], strict=False):
            then, now, _, _, letter = facts.decode().removeprefix(":").split()
            path = name.decode("utf-8", "surrogateescape")
            found[path] = "T" if letter == "M" and then != now else letter
        return found

    def read(self, commit: str, path: str) -> str:
        """Return a file of a commit as text, whatever bytes it holds."""
        return git.run(self.folder, "show", f"{commit}:{path}").decode("utf-8", "surrogateescape")

    def _commit(self, patch: Patch, parent: str, env: Mapping[str, str]) -> str:
        tree = git.run(self.folder, "write-tree", env=env).decode().strip()
        date = {"GIT_AUTHOR_DATE": EMPTY_DATE, "GIT_COMMITTER_DATE": EMPTY_DATE}
        message = f"{patch.subject}\n\n{patch.message}"
        return git.run(
            self.folder, "commit-tree", tree, "-p", parent, stdin=message.encode(errors="replace"), env={**env, **date}
        ).decode().strip()  # fmt: skip


def of_repository(repository: Path, revision: str) -> tuple[Scratch, str]:
    """Return a scratch repository that borrows the objects of another one, and the commit that a revision means there.

    Raises:
        UsageError: there is no such repository or revision.

    """
    commit = git.commit(repository, revision)
    common = git.run(repository, "rev-parse", "--path-format=absolute", "--git-common-dir").decode().rstrip("\n")
    objects = Path(common) / "objects"
    scratch = Scratch(cache.folder(Part.SCRATCH) / f"{hashlib.sha256(str(objects).encode()).hexdigest()[:16]}.git")
    with _made(scratch):
        _borrow(scratch.folder, Path(common))
    return scratch, commit


def bisecting(scratch: Scratch, folder: Path) -> Path:
    """Return a new repository for one `git bisect`, with the commits of another, which so has no state of it."""
    git.run(folder.parent, "init", "-q", "--bare", "--template=", str(folder))
    _borrow(folder, scratch.folder)
    return folder


def _borrow(folder: Path, other: Path) -> None:
    """Give a repository the objects of another one, and the commits at which that one's history is cut off, if it is.

    Both are git folders: https://git-scm.com/docs/gitrepository-layout tells of `alternates` and `shallow`.
    """
    files.write(folder / "objects" / "info" / "alternates", f"{other / 'objects'}\n")
    cut_off = other / "shallow"
    if cut_off.is_file():
        files.write(folder / "shallow", cut_off.read_text(encoding="utf-8"))
    else:
        (folder / "shallow").unlink(missing_ok=True)


def of_archive(archive: Path) -> tuple[Scratch, str]:
    """Return a scratch repository that holds a tree of the cache, and the commit that it is; made once.

    Raises:
        InfrastructureError: git could not take it in.

    """
    scratch = Scratch(cache.folder(Part.SCRATCH) / f"{archive.stem[:16]}.git")
    with _made(scratch):
        if git.attempt(scratch.folder, "rev-parse", "--verify", "refs/heads/base").returncode:
            _import(scratch, archive)
    return scratch, git.commit(scratch.folder, "refs/heads/base")


def _made(scratch: Scratch) -> FileLock:
    """Return the lock on a repository, which is there by then."""
    scratch.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(scratch.folder.with_suffix(".lock"))
    with lock:
        if not (scratch.folder / "HEAD").is_file():
            git.run(scratch.folder.parent, "init", "-q", "--bare", "--template=", str(scratch.folder))
            (scratch.folder / "objects" / "info").mkdir(parents=True, exist_ok=True)
    return lock


def _import(scratch: Scratch, archive: Path) -> None:
    """Make a commit of an archive of the cache, with the lowest compression: the repository is kept for a while only.

    Raises:
        InfrastructureError: git could not take it in; with git's own words.

    """
    words = ("-c", "core.compression=1", "fast-import", "--quiet")
    try:
        with git.streaming(scratch.folder, *words) as process, tarfile.open(archive, "r:") as opened:
            assert process.stdin is not None
            _feed(process.stdin, opened)
    except UsageError as error:
        raise InfrastructureError(
            f"{archive.name} could not be made a commit: {error}", "Is there space left?"
        ) from error


def _feed(stream: IO[bytes], archive: tarfile.TarFile) -> None:
    """Write an archive as one commit, in the form of https://git-scm.com/docs/git-fast-import#_input_format."""
    stream.write(f"commit refs/heads/base\ncommitter perf-matrix <perf-matrix> {EMPTY_DATE}\ndata 5\nbase\n\n".encode())
    for entry in archive:
        if entry.isdir():
            continue
        mode, content = _mode_and_content(archive, entry)
        path = _quoted(entry.name.removeprefix("tree/"))
        stream.write(f"M {mode} inline {path}\ndata {len(content)}\n".encode("utf-8", "surrogateescape"))
        stream.write(content + b"\n")


def _mode_and_content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple[str, bytes]:
    """Return a file or link as git keeps it."""
    file = archive.extractfile(entry) if entry.isreg() else None
    if file is None:
        return "120000", entry.linkname.encode("utf-8", "surrogateescape")
    return "100755" if entry.mode & 0o100 else "100644", file.read()


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _reasons(patch: Patch, said: str) -> tuple[str, ...]:
    """Return for each file that git could not change why, its hunk named."""
    hunks = {path: patch.hunk(path, int(line)) for path, line in _FAILED.findall(said)}
    failed = [f"{path}: {hunk} does not apply" for path, hunk in hunks.items()]
    others = [text for text in _ERROR.findall(said) if not _is_of_hunk(text)]
    return tuple(dict.fromkeys([*failed, *others])) or (said.strip()[:200] or "git apply failed",)


def _is_of_hunk(text: str) -> bool:
    """Return whether git says with an error that a hunk does not apply, which is told with the hunk's number."""
    return text.startswith(("patch failed: ", "while searching for:")) or text.endswith(": patch does not apply")


def difference(delta: Delta) -> dict[str, CommitFile | None]:
    """Return what two commits differ by: each path with the file that it has after it, or nothing.

    Raises:
        UsageError: the repository or a commit is no longer there, or the difference holds a submodule.

    """
    folder = Path(delta.repository)
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", delta.base, delta.commit)
    fields = git.run(folder, *words).split(b"\0")
    found: dict[str, CommitFile | None] = {}
    wanted: dict[str, tuple[int, str]] = {}
    for facts, name in zip(fields[::2], fields[1::2], strict=False):
        _, octal, _, blob, status = facts.decode().removeprefix(":").split()
        path = name.decode("utf-8", "surrogateescape")
        if int(octal, 8) == GITLINK:
            raise UsageError(f"{path} is a submodule", "A kernel has none.")
        found[path] = None
        if status != "D":
            wanted[path] = int(octal, 8), blob
    names = [blob for _, blob in wanted.values()]
    contents = git_objects.contents(folder, names, MAX_BYTES, "what the patches change is larger than any series")
    for (path, (mode, _)), content in zip(wanted.items(), contents, strict=True):
        found[path] = CommitFile(0o777, content, link=True) if mode == LINK else CommitFile(mode & 0o777, content)
    return found
