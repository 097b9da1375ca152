"""Images: distro containers with toolchains, and the recipes of their bases."""

from __future__ import annotations

from pydantic import Field

from matrix.model.base import Frozen, MakeName, Name

# Acquire::Retries (apt.conf(5)), as a mirror may fail for a moment.
APT_INSTALL = (
    "apt-get -qq -o Acquire::Retries=3 update && DEBIAN_FRONTEND=noninteractive "
    "apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends"
)


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


class Image(Frozen):
    """A distro container with one or more toolchains, from `containers/NAME.yaml`.

    `install` is the shell command that installs `packages`, `setup` are commands after it. `toolchains` maps a name to
    make variables. `provides` and a build's `requires` decide which cells exist; `lacks` maps a build option or a
    feature that this distro cannot have to the reason.
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
