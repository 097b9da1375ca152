"""The Docker Engine API, as Docker and Podman serve it. The one folder that imports `docker`."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from matrix import paths
from matrix.engine.backends.docker.engine import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 600
"""The seconds for which the engine may be silent: the import of an image of 1.5 GB, say, answers only at its end."""


class _Docker:
    def hosts(self) -> Iterator[str]:
        """Yield DOCKER_HOST alone where it is set, or else the current context's address and the usual sockets."""
        if os.environ.get("DOCKER_HOST"):
            yield os.environ["DOCKER_HOST"]
            return
        with contextlib.suppress(Exception):  # a broken context of the user's is no reason not to look further
            host = docker.ContextAPI.get_current_context().Host
            if host:
                yield host
        yield from (f"unix://{path}" for path in _sockets() if path.exists())

    def connect(self, host: str, session: str) -> DockerEngine | None:
        """Return the engine at an address, if one answers (see Backend.connect)."""
        if not _listens(host):
            return None
        # A socket that something else than an engine answers on is no engine, so its errors are no reason to stop.
        with contextlib.suppress(DockerException, RequestException, OSError):
            # "auto" speaks the version of the API that the engine has: docker 20.10's and Podman's are old ones.
            client = docker.DockerClient(base_url=host, version="auto", timeout=TIMEOUT_S, tls=_tls(host))
            client.ping()
            return DockerEngine(client, host, session)
        return None


BACKEND = _Docker()


def _sockets() -> tuple[Path, ...]:
    """Return the usual sockets of Docker and Podman: root's, our own, the user's."""
    user = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    return (
        Path("/var/run/docker.sock"),
        paths.engine_socket(),
        user / "docker.sock",
        user / "podman" / "podman.sock",
        Path("/run/podman/podman.sock"),
    )


def _listens(url: str) -> bool:
    """Return whether a process listens at an address; only a socket's path is tried, others are left to the client."""
    scheme, _, path = url.partition("://")
    if scheme not in ("unix", "http+unix"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _tls(url: str) -> Any:
    """Return the TLS settings by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, which apply to addresses of TCP alone."""
    return docker.utils.kwargs_from_env().get("tls", False) if url.startswith("tcp://") else False
