"""Images: distro containers with toolchains, and the recipes of their bases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from matrix.model.base import Frozen, MakeName, Name

# Acquire::Retries (apt.conf(5)), as a mirror may fail for a moment.
APT_INSTALL = (
    "apt-get -qq -o Acquire::Retries=3 update && DEBIAN_FRONTEND=noninteractive "
    "apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends"
)


# The form of a reference with a digest, of distribution's grammar, with a registry's host in front:
# https://github.com/distribution/reference/blob/main/reference.go
_HOST_AND_PATH = r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9._-]*)"
Reference = Annotated[str, StringConstraints(pattern=rf"^{_HOST_AND_PATH}+@sha256:[0-9a-f]{{64}}$", max_length=400)]
REGISTRY = rf"{_HOST_AND_PATH}*"
"""The form of a registry: its host, as `registry.example:5000`, and a path below which its images are, if any."""


class Bootstrap(Frozen):
    """The arguments of mmdebstrap, which makes the base image where no registry answers."""

    suite: str
    variant: str = "minbase"  # the required packages and apt (mmdebstrap(1))
    components: tuple[str, ...] = ("main",)
    apt_options: tuple[str, ...] = ()


class Base(Frozen):
    """The base of an image: `pull` is its name in a registry."""

    pull: str
    bootstrap: Bootstrap | None = None


class Pushed(Frozen):
    """An image in a registry, as `perf-matrix images push` wrote it down.

    `reference` is its name there with the digest of its content. `recipe` is a hash of the recipe that it was made by,
    and `base` the origin of its base image.
    """

    reference: Reference
    recipe: str
    base: str


class Image(Frozen):
    """A distro container with one or more toolchains, from `containers/NAME.yaml`.

    `install` is the shell command that installs `packages`, `setup` are commands after it. `toolchains` maps a name to
    make variables. `provides` and a build's `requires` decide which cells exist; `lacks` maps a build option or a
    feature that this distro cannot have to the reason. With `pushed`, cells have the image from that registry, and none
    is made.
    """

    name: Name
    summary: str
    base: Base
    install: str = APT_INSTALL
    packages: tuple[str, ...]
    setup: tuple[str, ...] = ()
    toolchains: dict[Name, dict[MakeName, str]]
    provides: tuple[Name, ...] = ()
    lacks: dict[str, str] = Field(default_factory=dict)
    pushed: Pushed | None = None
