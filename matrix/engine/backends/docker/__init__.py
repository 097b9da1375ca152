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


def _hosts() -> Iterator[str]:
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
        return
    with contextlib.suppress(Exception):  # a broken context of the user's is no reason not to look further
        host = docker.ContextAPI.get_current_context().Host
        if host:
            yield host
    user = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    for path in (
        Path("/var/run/docker.sock"),
        paths.engine_socket(),
        user / "docker.sock",
        user / "podman" / "podman.sock",
        Path("/run/podman/podman.sock"),
    ):
        if path.exists():
            yield f"unix://{path}"


def _listens(url: str) -> bool:
    """Return whether something listens on a socket's path; of another kind of address the client will tell."""
    scheme, _, path = url.partition("://")
    if scheme not in ("unix", "http+unix"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def connect(host: str | None, tried: list[str], session: str) -> DockerEngine | None:
    """Return the engine at `host`, or else at the first place that answers; note in `tried` where was looked."""
    for url in dict.fromkeys([host] if host else _hosts()):
        tried.append(url)
        if not _listens(url):
            continue
        with contextlib.suppress(DockerException, RequestException, OSError):
            client = docker.DockerClient(base_url=url, version="auto", timeout=600, tls=_tls(url))
            client.ping()
            return DockerEngine(client, url, session)
    return None


def _tls(url: str) -> Any:
    """Return the TLS settings that DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for, for a host that they can mean."""
    return docker.utils.kwargs_from_env().get("tls", False) if url.startswith("tcp://") else False
