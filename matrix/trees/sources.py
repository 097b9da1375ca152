"""Where trees come from: git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tarfile import EOFHeaderError  # type: ignore[attr-defined] # typeshed has it not
from typing import IO, TYPE_CHECKING, Self

from matrix import paths
from matrix.engine import images
from matrix.errors import InfrastructureError, UsageError
from matrix.model.image import Base, Bootstrap
from matrix.trees import git
from matrix.trees.download import download

if TYPE_CHECKING:
    from matrix.engine.api import Engine

Say = Callable[[str], None]


@dataclass(frozen=True)
class Member:
    """One file or symbolic link (`target`) of a tree, its path relative to the tree's top."""

    path: str
    size: int
    executable: bool
    target: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Source:
    """A tree's source: `origin` for people; `fixed` names unchanging content, or is empty (a folder)."""

    origin: str
    fixed: str
    members: Callable[[], Iterator[Member]]


def open_source(text: str, engine: Engine, say: Say) -> Source:
    """Return the source that `SCHEME:REST` names, fetched if it had to be.

    Raises:
        UsageError: there is no such file, folder, repository, revision or package.
        InfrastructureError: it could not be fetched.

    """
    scheme, _, rest = text.partition(":")
    if scheme == "git":
        return _git(rest)
    if scheme == "dir":
        return _dir(Path(rest).expanduser())
    if scheme == "tar":
        return _tar(rest, say)
    return _deb(rest, engine, say)


def of_git(rest: str) -> tuple[Path, str]:
    """Return the repository and the revision of `PATH@REV`: without a path the current folder, without @REV HEAD."""
    location, at, revision = rest.rpartition("@")
    if not at:
        location, revision = rest, "HEAD"
    return Path(location or ".").expanduser(), revision


def _git(rest: str) -> Source:
    path, revision = of_git(rest)
    commit = git.commit(path, revision)

    def members() -> Iterator[Member]:
        with subprocess.Popen(
            ["git", "-C", str(path), "archive", "--format=tar", commit], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            yield from _tar_members(process.stdout, "", top=False)
        if process.returncode:
            raise UsageError(f"git archive of {commit} failed in {path}")

    return Source(f"{path}@{revision} ({commit[:12]})", f"git {commit}", members)


def _dir(path: Path) -> Source:
    if not path.is_dir():
        raise UsageError(f"{path} is no folder", "dir:PATH names the top folder of a kernel source tree.")

    def members() -> Iterator[Member]:
        for name in _names(path):
            file = path / name
            if file.is_symlink():
                yield Member(name, 0, executable=False, target=str(file.readlink()), read=bytes)
            elif file.is_file():
                entry = file.stat()
                yield Member(name, entry.st_size, bool(entry.st_mode & 0o100), None, file.read_bytes)

    return Source(str(path), "", members)


def _names(path: Path) -> Iterator[str]:
    """Yield the files below `path`; in a git checkout those that are tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "-C", str(path), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = sorted(set(listed.stdout.decode("utf-8", "surrogateescape").split("\0")) - {""})
        yield from (name for name in names if os.path.lexists(path / name))
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name != ".git")
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield str((Path(folder) / name).relative_to(path))


def _tar(rest: str, say: Say) -> Source:
    if re.match(r"https?://", rest):
        url, _, fragment = rest.partition("#")
        path = download(url, say)
        expected = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
    else:
        path, expected = Path(rest).expanduser(), ""
    if not path.is_file():
        raise UsageError(f"{path} is no file", "tar:FILE-or-URL names a tar archive of a kernel source tree.")
    digest = _digest(path)
    if expected and digest != expected:
        path.unlink()
        raise InfrastructureError(f"{rest}: sha256 is {digest}", "The download was thrown away; try again.")
    return Source(path.name, f"tar {digest}", lambda: _tar_file(path))


def _tar_file(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        yield from _tar_members(file, str(path), top=True)


class _Header(tarfile.TarInfo):
    """A header that notes on its archive that the end mark was read: tarfile takes any other end for one too."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            tarfile.end_mark = True  # type: ignore[attr-defined]
            raise


_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)


def _tar_members(file: object, name: str, *, top: bool) -> Iterator[Member]:
    """Yield an archive's files; with `top`, without the one folder that all are in."""
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for entry in archive:
                if entry.islnk():
                    raise UsageError(
                        f"{name or 'the archive'} holds a hard link: {entry.name!r}", "git archive makes none."
                    )
                path = entry.name.removeprefix("./")
                if top:
                    path = path.partition("/")[2]
                if path and entry.issym():
                    yield Member(path, 0, executable=False, target=entry.linkname, read=bytes)
                elif path and entry.isfile():
                    content = archive.extractfile(entry)
                    assert content is not None
                    yield Member(path, entry.size, bool(entry.mode & 0o100), None, _whole(content, entry.size, name))
            if not hasattr(archive, "end_mark"):
                raise tarfile.ReadError("it ends before its end mark")
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> UsageError:
    return UsageError(f"{name or 'the archive'} is no whole tar archive: {error}", "Get it again.")


def _whole(content: IO[bytes], size: int, name: str) -> Callable[[], bytes]:
    """Return the function that reads a member's content, all of it or an error that can be acted on."""

    def read() -> bytes:
        try:
            data = content.read()
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        if len(data) != size:
            raise _damaged(name, EOFError(f"{len(data)} of {size} bytes of a file"))
        return data

    return read


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_DEB_SCRIPT = """
suite={suite}; package={package}; codename=${{suite%%-*}}
list=/etc/apt/sources.list
mirror=$(awk '$1 == "deb" {{ for (i = 2; i < NF; i++) if ($i ~ /:\\/\\//) {{ print $i; exit }} }}' $list || true)
[ -n "$mirror" ] || mirror=$(awk '$1 == "URIs:" {{ print $2; exit }}' $list.d/*.sources)
[ "$suite" = "$codename" ] || echo "deb $mirror $suite main" > /etc/apt/sources.list.d/suite.list
apt-get -qq -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false update
cd /var/cache && apt-get -qq -o Acquire::Retries=3 download "$package/$suite"
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -xO "./usr/src/$package.tar.xz" > /var/cache/tree.tar.xz
mkdir wrapped && mv tree.tar.xz "wrapped/$(ls "$package"_*.deb | sed 's/_all.deb$//').tar.xz"
tar -cf /var/cache/fetched.tar -C wrapped .
"""


def _deb(rest: str, engine: Engine, say: Say) -> Source:
    """Take a linux-source package with apt in a container of its own suite, which checks the signatures."""
    match = re.fullmatch(r"([a-z0-9][a-z0-9.+-]*)@([a-z][a-z0-9-]*)", rest)
    if not match:
        raise UsageError(f"no package {rest!r}", "deb:PACKAGE@SUITE, as deb:linux-source-6.12@trixie.")
    package, suite = match.groups()
    path = paths.cache() / "downloads" / f"{package}@{suite}.tar"
    if not path.is_file():
        codename = suite.partition("-")[0]
        base = Base(pull=f"debian:{codename}", bootstrap=Bootstrap(suite=codename))
        image = images.base(base, engine, say)
        say(f"downloading {package} from {suite}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        engine.fetch(image, _DEB_SCRIPT.format(package=package, suite=suite), "/var/cache/fetched.tar", part)
        part.replace(path)
    version = _wrapped_name(path)
    return Source(f"{version} from {suite}", f"deb {version}", lambda: _wrapped_members(path))


def _wrapped_name(path: Path) -> str:
    with tarfile.open(path) as outer:
        return next(m.name for m in outer if m.isfile()).removeprefix("./").removesuffix(".tar.xz")


def _wrapped_members(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as outer:
        inner = outer.extractfile(next(m for m in outer if m.isfile()))
        yield from _tar_members(inner, path.name, top=True)
