"""Makes images: base pulled or bootstrapped, packages installed, tagged by the hash of their recipe.

An image that was pushed to a registry is pulled from there, by the digest of its content.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from matrix import files
from matrix.engine import cache, host_packages, package_lists
from matrix.engine.api import UID
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import ImageIdentity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.image import Base, Bootstrap, Image, Pushed

_PULLED = re.compile(r"pulled \S+")
SHOWN_BYTES = 1500
"""The end of mmdebstrap's messages that an error quotes: its last lines name the package and the reason."""


def dockerfile(image: Image, base_tag: str) -> str:
    """Return the Dockerfile of an image: its packages, its own commands, and the user that cells run as."""
    lines = [
        f"FROM {base_tag}",
        f"RUN {image.install} {' '.join(image.packages)}",
        *(f"RUN {command}" for command in image.setup),
        # Programs that look up their user's name (Python's getpass) fail for an id that /etc/passwd does not have.
        f"RUN grep -q ':{UID}:' /etc/passwd || echo 'builder:x:{UID}:{UID}::/tmp:/bin/sh' >> /etc/passwd",
    ]
    return "\n".join(lines) + "\n"


def source(image: Image) -> str:
    """Return the text that says where an image comes from: its Dockerfile, or its name in a registry."""
    return f"{image.pushed.reference}\n" if image.pushed else dockerfile(image, image.base.pull)


def prepare(image: Image, engine: Engine, say: Callable[[str], None]) -> ImageIdentity:
    """Return the identity of an image, which is made now if the engine does not have it.

    A lock lets one process make it while the others that ask wait.

    Raises:
        UsageError: it was pushed to a registry, and its recipe is another one now.
        InfrastructureError: the base could not be got, a package could not be installed, or the registry does not give
            the image.

    """
    if image.pushed:
        return _pulled(image, image.pushed, engine, say)
    base_tag = base(image.base, engine, say)
    text = dockerfile(image, base_tag)
    with cache.lock(f"image-{image.name}"):
        tag = _tag(image, text, engine.image(base_tag))
        digest = engine.image(tag) or _built(image, text, tag, engine, say)
        packages = package_lists.of(tag, digest, engine, say)
    origin = _read_origin(image.base)
    return ImageIdentity(name=image.name, tag=tag, digest=digest, base=origin, packages=packages)


def _pulled(image: Image, pushed: Pushed, engine: Engine, say: Callable[[str], None]) -> ImageIdentity:
    """Return the identity of an image that was pushed to a registry; cells find it by its name and digest there."""
    if pushed.recipe != recipe_hash(image):
        raise UsageError(
            f"image {image.name} has another recipe than when it was pushed as {pushed.reference}",
            "Push it anew (`perf-matrix images push`), or take `pushed` out of its file to have it made here.",
        )
    reference = pushed.reference
    with cache.lock(f"image-{image.name}"):
        digest = engine.image(reference)
        if digest is None:
            say(f"pulling {reference}")
            digest = engine.pull_by_digest(reference)
        packages = package_lists.of(reference, digest, engine, say)
    return ImageIdentity(name=image.name, tag=reference, digest=digest, base=pushed.base, packages=packages)


def recipe_hash(image: Image) -> str:
    """Return a hash of all that an image is made of: the recipes of its base and of itself."""
    return hashlib.sha256(dockerfile(image, _base_tag(image.base)).encode()).hexdigest()[:12]


def present(image: Image, engine: Engine) -> ImageIdentity | None:
    """Return the identity of an image that the engine and the cache have, whole; nothing is made or listed."""
    origin = image.pushed.base if image.pushed else _read_origin(image.base)
    tag = image.pushed.reference if image.pushed else _tag_here(image, engine)
    digest = engine.image(tag) if tag and origin else None
    packages = package_lists.kept(digest) if digest else None
    if digest is None or packages is None:
        return None
    return ImageIdentity(name=image.name, tag=tag, digest=digest, base=origin, packages=packages)


def _tag_here(image: Image, engine: Engine) -> str:
    """Return the tag that an image has once it is made; empty where its base is not there."""
    base_tag = _base_tag(image.base)
    base_digest = engine.image(base_tag)
    return _tag(image, dockerfile(image, base_tag), base_digest) if base_digest else ""


def _tag(image: Image, text: str, base_digest: str | None) -> str:
    """Return the tag of the image of a Dockerfile.

    The base's digest is part of it: the base's tag stays the same when the base is pulled or bootstrapped anew.
    """
    key = hashlib.sha256(f"{text}{base_digest}".encode()).hexdigest()[:12]
    return f"perf-build-matrix/{image.name}:{key}"


def _built(image: Image, text: str, tag: str, engine: Engine, say: Callable[[str], None]) -> str:
    """Build an image and return its digest; the build's output is the file NAME.log of the cache."""
    say(f"building image {image.name} ({len(image.packages)} packages)")
    log = cache.folder(Part.IMAGES) / f"{image.name}.log"
    with log.open("w", encoding="utf-8") as file:
        engine.build(text, tag, lambda block: print(block, end="", file=file))
    digest = engine.image(tag)
    if digest is None:
        raise InfrastructureError(f"image {tag} is not there after it was built")
    return digest


def _key(recipe: Base) -> str:
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:12]


def _base_tag(recipe: Base) -> str:
    return f"perf-build-matrix/base:{_key(recipe)}"


def _origin(recipe: Base) -> Path:
    """Return the file with the origin of a base image, `pulled DIGEST` or `mmdebstrap SUITE`.

    A label is no place for it: an image that was pulled cannot be given one without changing its digest.
    """
    return cache.folder(Part.IMAGES) / f"{_key(recipe)}.origin"


def _read_origin(recipe: Base) -> str:
    """Return the origin of a base image, or nothing where its file is missing, damaged or of another base.

    A file of an earlier version has no seal: it counts if it has nothing but an origin in it.
    """
    path = _origin(recipe)
    try:
        content = files.read_sealed(path) or files.read(path)
    except (OSError, ValueError):
        return ""
    text = content.decode(errors="replace")
    return text if _is_origin(text, recipe) else ""


def _is_origin(text: str, recipe: Base) -> bool:
    is_bootstrapped = recipe.bootstrap is not None and text == _bootstrapped_from(recipe.bootstrap)
    return is_bootstrapped or bool(_PULLED.fullmatch(text))


def _bootstrapped_from(bootstrap: Bootstrap) -> str:
    return f"mmdebstrap {bootstrap.suite}"


def base(recipe: Base, engine: Engine, say: Callable[[str], None]) -> str:
    """Return the tag of a base image, which is pulled where a registry answers, or else bootstrapped.

    The tag is a name of our own, so that a bootstrapped image is never taken for the official one.

    Raises:
        InfrastructureError: no registry answers, and the recipe has no `bootstrap`, or mmdebstrap failed.

    """
    tag = _base_tag(recipe)
    with cache.lock(f"base-{_key(recipe)}"):
        if engine.image(tag) is not None and _read_origin(recipe):
            return tag
        damage = "" if _read_origin(recipe) else cache.damage(_origin(recipe))
        say(f"pulling {recipe.pull}{damage}")
        digest = engine.pull(recipe.pull, tag)
        origin = f"pulled {digest}" if digest else _bootstrapped(recipe, tag, engine, say)
        files.write_sealed(_origin(recipe), origin.encode())
    return tag


def _bootstrapped(recipe: Base, tag: str, engine: Engine, say: Callable[[str], None]) -> str:
    """Make a base image with mmdebstrap(1) and return its origin, as `mmdebstrap trixie`."""
    bootstrap = recipe.bootstrap
    if bootstrap is None:
        raise InfrastructureError(f"no registry gave {recipe.pull}", "Its recipe has no `bootstrap` to fall back on.")
    if not shutil.which("mmdebstrap"):
        host_packages.install(["mmdebstrap"], say)
    say(f"no registry answers: bootstrapping {bootstrap.suite} with mmdebstrap")
    with files.part_of(cache.folder(Part.IMAGES) / f"{_key(recipe)}.tar") as archive:
        _mmdebstrap(bootstrap, archive)
        say(f"importing {bootstrap.suite} as {tag}")
        engine.import_image(archive, tag)
    return _bootstrapped_from(bootstrap)


def _mmdebstrap(bootstrap: Bootstrap, archive: Path) -> None:
    # For instance that Release files past their date are taken: those of testing and unstable mirrors often are.
    options = [f"--aptopt={option}" for option in bootstrap.apt_options]
    components = f"--components={','.join(bootstrap.components)}"
    argv = ["mmdebstrap", "--quiet", "--format=tar", f"--variant={bootstrap.variant}", components, *options]
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(
            [*argv, bootstrap.suite, str(archive)], stdout=subprocess.DEVNULL, stderr=said, check=False
        ).returncode
        tail = files.end_of(said, SHOWN_BYTES).strip()
    if status:
        raise InfrastructureError(f"{bootstrap.suite} could not be bootstrapped:\n{tail}", _hint())


def _hint() -> str:
    if os.geteuid() == 0:
        return "Is the network up?"
    # mmdebstrap(1), "MODES": a user's mode is `unshare`.
    return "Is the network up? A user needs subordinate ids (/etc/subuid, uidmap), or pushed images: docs/engines.md."
