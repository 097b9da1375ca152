"""The packages of an image and their versions: listed in a container once, and kept in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix import files
from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError
from matrix.model.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

_PACKAGES = r"""
if command -v dpkg-query >/dev/null; then dpkg-query -W -f '${Package} ${Version}\n'
elif command -v rpm >/dev/null; then rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n'
elif command -v apk >/dev/null; then apk info -v | sed 's/-\([0-9]\)/ \1/'
fi
"""
"""A shell script that prints `NAME VERSION` for each package of an image."""


class _Listed(Frozen):
    """The file of an image's packages in the cache: the image's digest, and the version of each package by name."""

    image: str
    packages: dict[str, str]


def of(tag: str, digest: str, engine: Engine, say: Callable[[str], None]) -> dict[str, str]:
    """Return the version of each package in an image by its name, from the cache or listed now."""
    found = kept(digest)
    if found is not None:
        return found
    record = _record(digest)
    say(f"listing the packages of {tag}{cache.damage(record)}")
    listed = _Listed(image=digest, packages=_listed(tag, engine))
    files.write_sealed(record, listed.model_dump_json().encode())
    return listed.packages


def kept(digest: str) -> dict[str, str] | None:
    """Return the packages of an image from the cache; None where the file is missing, damaged or another image's."""
    try:
        found = _Listed.model_validate_json(files.read_sealed(_record(digest)) or b"")
    except ValueError:
        return None
    return found.packages if found.image == digest else None


def _record(digest: str) -> Path:
    """Return the file of an image's packages in the cache."""
    # `.packages` is the form of version 0.2.0, which takes any JSON there for its own.
    return cache.folder(Part.IMAGES) / f"{digest.removeprefix('sha256:')}.package-list"


def _listed(tag: str, engine: Engine) -> dict[str, str]:
    status, output = engine.script(tag, _PACKAGES, network=False)
    text = output.decode(errors="replace")
    if status:
        raise InfrastructureError(f"the packages of {tag} could not be listed: {text}")
    lines = (line.partition(" ") for line in text.splitlines())
    return {name: version for name, _, version in lines}
