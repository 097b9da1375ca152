"""The docker package's client, with bounds on the time that an engine may take to answer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import docker
from requests.exceptions import Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_S = 30
"""The seconds that an engine may take to answer at all; an idle one takes a millisecond."""

ANSWER_S = 180
"""The seconds that an engine may take for a request: the start of a container under load is a matter of seconds."""

WORK_S = 3600
"""The seconds that an engine may be silent at work of its own: a script, a build, an import answer at their end."""

HANGING_S = 5
"""The seconds that an engine gets for a request after one that it did not answer, until it answers again.

The clean-up of a cell asks a dozen times: each request that waited for ANSWER_S would make half an hour of that.
"""


class _BoundedApi(docker.APIClient):
    """The API of an engine; one that left a request without an answer has little time for each further one."""

    hangs = False

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request (see requests.Session.send)."""
        if self.hangs:
            options["timeout"] = HANGING_S
        elif options.get("timeout") is None:  # what the docker package gives to builds, imports, pulls and waits
            options["timeout"] = WORK_S
        try:
            response = super().send(request, **options)
        except Timeout:
            self.hangs = True
            raise
        self.hangs = False
        return response


class BoundedClient(docker.DockerClient):
    """A client whose every request has an end.

    Raises:
        requests.Timeout: an engine accepts connections, and does not answer.

    """

    def __init__(self, host: str, tls: Any) -> None:
        # "auto" speaks the version of the API that the engine has: docker 20.10's and Podman's are old ones.
        self.api: Any = _BoundedApi(base_url=host, version="auto", timeout=CONNECT_S, tls=tls)
        self.ping()
        self.api.timeout = ANSWER_S


@contextlib.contextmanager
def patience(api: Any, seconds: float) -> Iterator[None]:
    """Give the engine other time than usual for the requests in the body of the `with`."""
    usual, api.timeout = api.timeout, seconds
    try:
        yield
    finally:
        api.timeout = usual
