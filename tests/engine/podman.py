"""A private Podman beside the engine in use, with folders and a socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.engine import backends
from matrix.errors import InfrastructureError
from matrix.runs import ownership
from tests.engine.bench import ROOT

if TYPE_CHECKING:
    from matrix.engine.api import Engine


class Podman:
    """A private Podman that runs."""

    def __init__(self) -> None:
        """Start it, and install it first where it is not.

        Raises:
            InfrastructureError: that cannot be done on this machine.

        """
        self.folder = Path(tempfile.mkdtemp(prefix="pbm-"))  # the path of a socket has at most 107 bytes: unix(7)
        self.variables = {"PERF_MATRIX_RUNTIME": f"{self.folder}/run", "PERF_MATRIX_CACHE": f"{self.folder}/cache"}
        self.url = f"unix://{self.folder}/run/engine.sock"
        done = self._command("up", "--kind", "podman")
        if done.returncode:
            raise InfrastructureError(done.stderr)

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "matrix", "engine", *words]
        environment = {**os.environ, **self.variables}
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def connect(self) -> Engine:
        return backends.connect(self.url, ownership.label())

    def end(self) -> None:
        """Stop it, and remove its folders."""
        done = self._command("down")
        shutil.rmtree(self.folder)
        assert done.stdout == "stopped\n", done.stderr
