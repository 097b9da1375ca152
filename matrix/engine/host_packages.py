"""Installs Debian packages on this machine, which only root may do, saying so, unless it was forbidden."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from matrix import files
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable

_FORBIDDEN = "PERF_MATRIX_NO_INSTALL"
"""An environment variable, as the workers of a run are processes of their own, which inherit it."""

SHOWN_BYTES = 1500
"""The end of apt-get's messages that an error quotes: its last lines name the package and the reason."""


def forbid() -> None:
    """Forbid this process, and those that it starts, to install packages."""
    os.environ[_FORBIDDEN] = "1"


def install(packages: list[str], say: Callable[[str], None]) -> None:
    """Install Debian packages with apt-get, after a line of progress.

    Raises:
        InfrastructureError: this process is not root, has no apt-get or was forbidden to use it, or apt-get failed.

    """
    words = " ".join(packages)
    if not _may_install():
        raise InfrastructureError(f"{words} is not installed", f"Install it: apt-get install {words}")
    say(f"installing {words} with apt-get")
    _apt_get("update")
    _apt_get("install", "-y", "--no-install-recommends", *packages)


def _may_install() -> bool:
    is_forbidden = os.environ.get(_FORBIDDEN) == "1"
    return not is_forbidden and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt_get(*words: str) -> None:
    # Without it a package's configuration may ask a question, and wait for an answer for ever: debconf(7).
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(
            ["apt-get", "-qq", *words], stdout=subprocess.DEVNULL, stderr=said, check=False, env=environment
        ).returncode
        tail = files.end_of(said, SHOWN_BYTES).strip()
    if status:
        raise InfrastructureError(f"apt-get {words[0]} failed:\n{tail}", "Is the network up?")
