"""`deb:PACKAGE@SUITE`: a kernel tree from one of Debian's linux-source packages."""

from __future__ import annotations

import contextlib
import re
import tarfile
from typing import IO, TYPE_CHECKING

from matrix import files
from matrix.engine import cache, images
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.model.image import Base, Bootstrap
from matrix.trees import tar_members
from matrix.trees.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.trees.sources import Member, Say

# The names of packages (deb-control(5), "Package") and of suites; both go into a shell script unquoted.
_NAMES = re.compile(r"([a-z0-9][a-z0-9.+-]*)@([a-z][a-z0-9-]*)")
_FETCHED = "/var/cache/fetched.tar"

# The mirror is the image's own, from either format of sources.list(5); a suite like trixie-backports is added to it.
# Check-Valid-Until=false (apt.conf(5)): mirrors and snapshots may serve an index past its date; it is still signed.
# A linux-source package holds the tree as one .tar.xz, which is wrapped in a tar with its version as its name.
_SCRIPT = """
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


class _Deb:
    form = "deb:PACKAGE@SUITE"
    example = "linux-source-6.12@trixie"

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return a package as a source (see Scheme.open); apt checks its signature in a container of its own suite."""
        match = _NAMES.fullmatch(rest)
        if not match:
            raise UsageError(f"no package {rest!r}", f"{self.form}, as deb:{self.example}.")
        package, suite = match.groups()
        path = cache.folder(Part.DOWNLOADS) / f"{package}@{suite}.tar"
        if not _is_whole(path):
            _fetch(package, suite, path, engine, say)
        version = _version(path)
        return Source(f"{version} from {suite}", f"deb {version}", lambda: _members(path))


SCHEME = _Deb()


def _fetch(package: str, suite: str, path: Path, engine: Engine, say: Say) -> None:
    # A container of Debian, so that any host can fetch: `trixie-backports` is fetched in one of trixie.
    codename = suite.partition("-")[0]
    base = Base(pull=f"debian:{codename}", bootstrap=Bootstrap(suite=codename))
    image = images.base(base, engine, say)
    damage = f", as {path} is not what was fetched" if path.exists() else ""
    say(f"downloading {package} from {suite}{damage}")
    with files.replacing(path, flushed=False) as part:  # its record has its digest
        engine.fetch(image, _SCRIPT.format(package=package, suite=suite), _FETCHED, part)
    files.write_sealed(_record(path), files.sha256(path).encode())


def _record(path: Path) -> Path:
    """Return the path of the file with the SHA-256 of a fetched archive."""
    return path.with_name(f"{path.name}.sha256")


def _is_whole(path: Path) -> bool:
    """Return whether an archive is in the cache and unchanged since it was fetched."""
    expected = files.read_sealed(_record(path))
    return bool(expected) and path.is_file() and files.sha256(path).encode() == expected


def _version(path: Path) -> str:
    """Return the package's name and version, by the name of the one file in the fetched archive."""
    with _opened(path) as (header, _):
        return header.name.removeprefix("./").removesuffix(".tar.xz")


def _members(path: Path) -> Iterator[Member]:
    with _opened(path) as (_, inner):
        yield from tar_members.members(inner, path.name)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Give the header and the content of the one file in the fetched archive.

    Raises:
        InfrastructureError: there is none, or the archive is damaged.

    """
    try:
        with tarfile.open(path, "r:") as outer:
            header = next(member for member in outer if member.isreg())
            inner = outer.extractfile(header)
            assert inner is not None
            yield header, inner
    except (tarfile.TarError, OSError, StopIteration) as error:
        raise InfrastructureError(f"{path} is no package of a kernel tree: {error}", "Remove it; try again.") from error
