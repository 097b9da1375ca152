"""The Docker Engine API, as Docker and Podman serve it. The one folder that imports `docker`."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException, Timeout

from matrix import paths
from matrix.engine.api import EngineSilentError
from matrix.engine.backends.docker.api import RESTART
from matrix.engine.backends.docker.client import CONNECT_S, BoundedClient
from matrix.engine.backends.docker.engine import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Iterator


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
            return DockerEngine(_client(host), host, session)
        return None


BACKEND = _Docker()


def _client(host: str) -> BoundedClient:
    """Return the client of an engine that answers.

    Raises:
        EngineSilentError: something accepts connections there, and does not answer.

    """
    try:
        return BoundedClient(host, _tls(host))
    except (DockerException, Timeout) as error:
        # The docker package wraps what happens to its first request, for the version.
        if not isinstance(error.__cause__ or error, Timeout):
            raise
        raise EngineSilentError(
            f"{host} accepts connections, but no engine answers within {CONNECT_S} s", f"{RESTART} Or set DOCKER_HOST."
        ) from error


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
    return kwargs_from_env().get("tls", False) if url.startswith("tcp://") else False
