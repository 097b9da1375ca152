"""A scratch repository in the cache, in which patches are applied to an index, without a work tree or hooks.

A scratch repository borrows the objects of the user's repository, which is never written to; or it holds one tree that
was imported from an archive.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from matrix import files, paths
from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import git, git_objects
from matrix.trees.git_objects import GITLINK, LINK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.model.tree import Delta
    from matrix.trees.patches import Patch

# 2000-01-01: with a fixed date the same patches make the same commits, whenever they are applied.
EMPTY_DATE = "946684800 +0000"
# The most bytes that the files changed by a series may have: far above any, as the patches may be a stranger's.
MAX_BYTES = 256 << 20
NAME_DIGITS = 32
"""The number of hex digits of a digest in the name of a scratch repository: 128 bits."""
MAX_REASONS = 50
"""The most files for which it is said why a patch does not apply: a patch may have any number."""
# The errors of git-apply(1), with LC_ALL=C.
# git shows a hunk's lines, too, so that a patch can write such a line itself, with any number of digits.
_FAILED = re.compile(r"^error: patch failed: (.+):(\d{1,10})$", re.M)
_ERROR = re.compile(r"^error: (.+)$", re.M)


@dataclass(frozen=True)
class CommitFile:
    """A file of a commit: its permission bits and its content, or with `link` the path that the link points to."""

    mode: int
    content: bytes
    link: bool = False


@dataclass(frozen=True)
class Refused:
    """A patch that does not apply, and a reason for each file that it cannot change."""

    patch: Patch
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Scratch:
    """A bare repository in the cache."""

    folder: Path

    def apply(self, base: str, patches: Sequence[Patch]) -> tuple[tuple[str, ...], Refused | None]:
        """Apply patches one after the other on the commit `base`.

        Return the commits made, and the patch that was refused, or None where all apply. The same patches on the same
        base make the same commits.
        """
        made: list[str] = []
        with paths.temporary("index") as folder:
            # An index of its own: several processes apply patches in one repository.
            env = {"GIT_INDEX_FILE": f"{folder}/index"}
            git.run(self.folder, "read-tree", base, env=env)
            for patch in patches:
                # -v adds the reasons of a refusal; --cached leaves out the work tree, which there is none of.
                words = ("apply", "--cached", "--whitespace=nowarn", "-v", "-")
                done = git.bounded(self.folder, *words, stdin=patch.diff, env=env)
                if done.returncode:
                    return tuple(made), Refused(patch, _reasons(patch, done.stderr.decode(errors="replace")))
                made.append(self._commit(patch, made[-1] if made else base, env))
        return tuple(made), None

    def changed(self, before: str, after: str) -> dict[str, str]:
        """Map the paths in which two commits differ to a letter: `A`, `D`, `M`, or `T` for another type or mode.

        The format of `git diff-tree --raw -z` is described in https://git-scm.com/docs/diff-format#_raw_output_format.
        """
        words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", before, after)
        fields = git.run(self.folder, *words).split(b"\0")
        found = {}
        for facts, name in zip(fields[::2], fields[1::2], strict=False):
            then, now, _, _, letter = facts.decode().removeprefix(":").split()
            path = name.decode("utf-8", "surrogateescape")
            # git's T is a change of type only; a change of permission bits is an M with two modes.
            found[path] = "T" if letter == "M" and then != now else letter
        return found

    def read(self, commit: str, path: str) -> str:
        """Return a file of a commit as text; bytes that are no UTF-8 become surrogates."""
        return git.run(self.folder, "show", f"{commit}:{path}").decode("utf-8", "surrogateescape")

    def _commit(self, patch: Patch, parent: str, env: Mapping[str, str]) -> str:
        tree = git.run(self.folder, "write-tree", env=env).decode().strip()
        date = {"GIT_AUTHOR_DATE": EMPTY_DATE, "GIT_COMMITTER_DATE": EMPTY_DATE}
        message = f"{patch.subject}\n\n{patch.message}"
        return git.run(
            self.folder, "commit-tree", tree, "-p", parent, stdin=message.encode(errors="replace"), env={**env, **date}
        ).decode().strip()  # fmt: skip


def of_repository(repository: Path, revision: str) -> tuple[Scratch, str]:
    """Return the scratch repository that borrows another's objects, and the commit that a revision means in that one.

    Raises:
        UsageError: the repository or the revision does not exist.

    """
    commit = git.commit(repository, revision)
    # A worktree has no objects of its own; the common folder is the repository's (git-worktree(1)).
    common = git.run(repository, "rev-parse", "--path-format=absolute", "--git-common-dir").decode().rstrip("\n")
    objects = Path(common) / "objects"
    scratch = Scratch(cache.folder(Part.SCRATCH) / f"{_digest(str(objects))}.git")
    with _made(scratch):
        _borrow(scratch.folder, Path(common))
    return scratch, commit


def bisecting(scratch: Scratch, folder: Path) -> Path:
    """Return a new repository in `folder` for one `git bisect`, with the commits of a scratch repository.

    The state of a bisection is files in its repository, and several may share the scratch repository.
    """
    git.run(folder.parent, "init", "-q", "--bare", "--template=", str(folder))
    _borrow(folder, scratch.folder)
    return folder


def _digest(text: str) -> str:
    """Return the name of a text's scratch repository."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:NAME_DIGITS]


def _borrow(folder: Path, other: Path) -> None:
    """Give a repository the objects of another one and, of a shallow clone, the commits where its history is cut off.

    Both are git folders; their files `alternates` and `shallow` are described in
    https://git-scm.com/docs/gitrepository-layout.
    """
    files.write(folder / "objects" / "info" / "alternates", f"{other / 'objects'}\n")
    cut_off = other / "shallow"
    if cut_off.is_file():
        files.write(folder / "shallow", cut_off.read_bytes())
    else:
        (folder / "shallow").unlink(missing_ok=True)


def of_archive(archive: Path) -> tuple[Scratch, str]:
    """Return the scratch repository that holds a tree of the cache, imported once, and the commit of that tree.

    Raises:
        InfrastructureError: git could not import the tree.

    """
    scratch = Scratch(cache.folder(Part.SCRATCH) / f"{archive.stem[:NAME_DIGITS]}.git")
    with _made(scratch):
        # Each object has its digest, by which git sees damage; some seconds for a kernel tree, once a series.
        if git.attempt(scratch.folder, "fsck", "--no-dangling", "refs/heads/base").returncode:
            shutil.rmtree(scratch.folder)
            _init(scratch)
            _import(scratch, archive)
    return scratch, git.commit(scratch.folder, "refs/heads/base")


def _made(scratch: Scratch) -> FileLock:
    """Return the lock on a scratch repository, not held, after the repository was made if it did not exist."""
    scratch.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(scratch.folder.with_suffix(".lock"))
    with lock:
        if not _is_repository(scratch.folder):
            shutil.rmtree(scratch.folder, ignore_errors=True)
            _init(scratch)
    return lock


def _is_repository(folder: Path) -> bool:
    """Return whether git takes a folder for a repository; where it does not, it would look for one around it."""
    return not git.attempt(folder.parent, "rev-parse", "--git-dir", env={"GIT_DIR": str(folder)}).returncode


def _init(scratch: Scratch) -> None:
    # Without a template there are no hooks.
    git.run(scratch.folder.parent, "init", "-q", "--bare", "--template=", str(scratch.folder))
    (scratch.folder / "objects" / "info").mkdir(parents=True, exist_ok=True)


def _import(scratch: Scratch, archive: Path) -> None:
    """Import an archive of the cache as one commit.

    Raises:
        InfrastructureError: git could not import it; the message has git's own words.

    """
    # The lowest compression: the objects are read a few times and kept for a while only.
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
    """Write an archive as one commit, in the format of https://git-scm.com/docs/git-fast-import#_input_format."""
    stream.write(f"commit refs/heads/base\ncommitter perf-matrix <perf-matrix> {EMPTY_DATE}\ndata 5\nbase\n\n".encode())
    for entry in archive:
        if entry.isdir():
            continue
        mode, content = _mode_and_content(archive, entry)
        path = _quoted(entry.name.removeprefix("tree/"))
        stream.write(f"M {mode} inline {path}\ndata {len(content)}\n".encode("utf-8", "surrogateescape"))
        stream.write(content + b"\n")


def _mode_and_content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple[str, bytes]:
    """Return a file's or link's mode, as git writes it (octal), and its content, of a link its target."""
    file = archive.extractfile(entry) if entry.isreg() else None
    if file is None:
        return "120000", entry.linkname.encode("utf-8", "surrogateescape")
    return "100755" if entry.mode & 0o100 else "100644", file.read()


def _quoted(path: str) -> str:
    """Return a path in double quotes, C-style (git-fast-import(1)); unquoted, a path must not begin with a quote."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _reasons(patch: Patch, said: str) -> tuple[str, ...]:
    """Return a sentence for each file that git could not change; of a hunk that does not apply, with its number."""
    hunks = patch.hunks()
    lines = {path: int(line) for path, line in _FAILED.findall(said)}
    failed = [f"{path}: {_hunk(hunks.get(path, []), line)} does not apply" for path, line in lines.items()]
    others = itertools.filterfalse(_is_of_hunk, _ERROR.findall(said))
    found = tuple(dict.fromkeys([*failed, *others])) or (said.strip()[:200] or "git apply failed",)
    return _first(found)


def _first(reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first reasons, and the number of the others."""
    if len(reasons) <= MAX_REASONS:
        return reasons
    return (*reasons[:MAX_REASONS], f"and {len(reasons) - MAX_REASONS} more")


def _hunk(hunks: Sequence[tuple[int, str]], line: int) -> str:
    """Return the name of the hunk that begins at a line of the old file: `hunk 2 of 3 (@@ -12,7 +12,8 @@)`."""
    numbers = (number for number, (first, _) in enumerate(hunks, 1) if first == line)
    number = next(numbers, 0)
    return f"hunk {number} of {len(hunks)} ({hunks[number - 1][1]})" if number else f"line {line}"


def _is_of_hunk(text: str) -> bool:
    """Return whether an error of git's is about a hunk that does not apply, of which there is a better sentence."""
    return text.startswith(("patch failed: ", "while searching for:")) or text.endswith(": patch does not apply")


def difference(delta: Delta) -> dict[str, CommitFile | None]:
    """Return the difference of two commits: a map from each path to its file in the later commit, None for a removal.

    Raises:
        UsageError: the repository or a commit no longer exists, or the difference holds a submodule.

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
