"""Makes the images: base pulled or bootstrapped, packages installed, tagged by the hash of their recipe."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from filelock import FileLock

from matrix import files, paths
from matrix.engine.api import UID
from matrix.errors import InfrastructureError
from matrix.model.result import ImageIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.model.image import Base, Image

_PACKAGES = r"""
if command -v dpkg-query >/dev/null; then dpkg-query -W -f '${Package} ${Version}\n'
elif command -v rpm >/dev/null; then rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n'
elif command -v apk >/dev/null; then apk info -v | sed 's/-\([0-9]\)/ \1/'
fi
"""


def dockerfile(image: Image, base_tag: str) -> str:
    """Return the Dockerfile of an image: its packages, its own commands, and the user that cells run as."""
    lines = [
        f"FROM {base_tag}",
        f"RUN {image.install} {' '.join(image.packages)}",
        *(f"RUN {command}" for command in image.setup),
        f"RUN grep -q ':{UID}:' /etc/passwd || echo 'builder:x:{UID}:{UID}::/tmp:/bin/sh' >> /etc/passwd",
    ]
    return "\n".join(lines) + "\n"


def prepare(image: Image, engine: Engine, say: Callable[[str], None]) -> ImageIdentity:
    """Return the image, made now if it was not yet; done once whoever asks.

    Raises:
        InfrastructureError: the base could not be got, or a package could not be installed.

    """
    base_tag = base(image.base, engine, say)
    text = dockerfile(image, base_tag)
    with lock(f"image-{image.name}"):
        key = hashlib.sha256(f"{text}{engine.image(base_tag)}".encode()).hexdigest()[:12]
        tag = f"perf-build-matrix/{image.name}:{key}"
        digest = engine.image(tag)
        if digest is None:
            say(f"building image {image.name} ({len(image.packages)} packages)")
            log = paths.cache() / "images" / f"{image.name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as file:
                engine.build(text, tag, lambda block: print(block, end="", file=file))
            digest = engine.image(tag)
        if digest is None:
            raise InfrastructureError(f"image {tag} is not there after it was built")
        packages = _packages(tag, digest, engine)
    origin = (paths.cache() / "images" / f"{_key(image.base)}.origin").read_text().strip()
    return ImageIdentity(name=image.name, tag=tag, digest=digest, base=origin, packages=packages)


def _packages(tag: str, digest: str, engine: Engine) -> dict[str, str]:
    record = paths.cache() / "images" / f"{digest.removeprefix('sha256:')[:16]}.json"
    if not record.is_file():
        status, output = engine.script(tag, _PACKAGES, network=False)
        if status:
            raise InfrastructureError(f"the packages of {tag} could not be listed: {output.decode(errors='replace')}")
        lines = (line.partition(" ") for line in output.decode(errors="replace").splitlines())
        files.write(record, json.dumps({name: version for name, _, version in lines}))
    packages: dict[str, str] = json.loads(record.read_text())
    return packages


def _key(recipe: Base) -> str:
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:12]


def base(recipe: Base, engine: Engine, say: Callable[[str], None]) -> str:
    """Return the tag of a base image of our own name: pulled where a registry answers, or bootstrapped."""
    key = _key(recipe)
    tag = f"perf-build-matrix/base:{key}"
    origin = paths.cache() / "images" / f"{key}.origin"
    with lock(f"base-{key}"):
        if engine.image(tag) is not None and origin.is_file():
            return tag
        say(f"pulling {recipe.pull}")
        digest = engine.pull(recipe.pull, tag)
        if digest is None:
            _bootstrap(recipe, tag, engine, say)
            how = f"mmdebstrap {recipe.bootstrap.suite}" if recipe.bootstrap else ""
        else:
            how = f"pulled {digest}"
        files.write(origin, how)
    return tag


def _bootstrap(recipe: Base, tag: str, engine: Engine, say: Callable[[str], None]) -> None:
    bootstrap = recipe.bootstrap
    if bootstrap is None:
        raise InfrastructureError(f"no registry gave {recipe.pull}", "Its recipe has no `bootstrap` to fall back on.")
    _need_mmdebstrap(say)
    say(f"no registry answers: bootstrapping {bootstrap.suite} with mmdebstrap")
    archive = paths.cache() / "images" / f"{_key(recipe)}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    options = [f"--aptopt={option}" for option in bootstrap.apt_options]
    components = f"--components={','.join(bootstrap.components)}"
    argv = ["mmdebstrap", "--quiet", f"--variant={bootstrap.variant}", components, *options]
    try:
        done = subprocess.run([*argv, bootstrap.suite, str(archive)], capture_output=True, check=False)
        if done.returncode:
            tail = done.stderr.decode(errors="replace").strip()[-1500:]
            raise InfrastructureError(f"{bootstrap.suite} could not be bootstrapped:\n{tail}", "Is the network up?")
        engine.import_image(archive, tag)
    finally:
        archive.unlink(missing_ok=True)


def _need_mmdebstrap(say: Callable[[str], None]) -> None:
    if shutil.which("mmdebstrap"):
        return
    install_packages(["mmdebstrap"], say)


def install_packages(packages: list[str], say: Callable[[str], None]) -> None:
    """Install Debian packages on this machine, saying so; only as root, where apt-get is, and where allowed.

    Raises:
        InfrastructureError: it may not, or it failed.

    """
    words = " ".join(packages)
    allowed = os.environ.get("PERF_MATRIX_NO_INSTALL") != "1"
    if not (allowed and os.geteuid() == 0 and shutil.which("apt-get")):
        raise InfrastructureError(f"{words} is not installed", f"Install it: apt-get install {words}")
    say(f"installing {words} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *argv], capture_output=True, check=False, env=environment)
        if done.returncode:
            tail = done.stderr.decode(errors="replace").strip()[-1500:]
            raise InfrastructureError(f"apt-get {argv[0]} failed:\n{tail}", "Is the network up?")


def lock(name: str) -> FileLock:
    """Return the lock of something that is made once, whoever asks."""
    folder = paths.cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")
