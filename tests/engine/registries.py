"""A registry on loopback: Debian's docker-registry, with a folder and a port of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from matrix.engine import host_packages
from tests.engine.fleet import wait

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{host}"}}
"""


class Registry:
    """A registry that runs; `host` is its address, as a reference begins with it."""

    def __init__(self, folder: Path) -> None:
        """Start it, and wait until it answers.

        Raises:
            InfrastructureError: it is not installed, and cannot be.

        """
        if not shutil.which("docker-registry"):
            host_packages.install(["docker-registry"], print)
        folder.mkdir()
        self.host = f"127.0.0.1:{_free_port()}"
        configuration = folder / "config.yml"
        configuration.write_text(CONFIGURATION.format(folder=folder, host=self.host))
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with contextlib.ExitStack() as undo:
            undo.callback(self.end)
            wait(self._answers, 60)
            undo.pop_all()

    def _answers(self) -> bool:
        host, _, port = self.host.partition(":")
        assert self.process.poll() is None, "it ended"
        with socket.socket() as asking:
            return asking.connect_ex((host, int(port))) == 0

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
