"""Docker's failures as InfrastructureErrors, for the modules of this folder."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from docker.errors import DockerException
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import HTTPError

from matrix.engine.api import EngineSilentError
from matrix.errors import InfrastructureError, MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_THE_ENGINE = (DockerException, RequestException, HTTPError, OSError)

RESTART = "Is it stopped or overloaded? Restart it, then go on: --resume RUN."


@contextlib.contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Turn the errors of docker, requests and sockets into InfrastructureErrors; `what` completes `could not …`."""
    try:
        yield
    except (Timeout, TimeoutError) as error:
        raise EngineSilentError(f"the engine does not answer: it could not {what} in time", RESTART) from error
    except _OF_THE_ENGINE as error:
        reason = getattr(error, "explanation", None) or str(error)
        hint = "Free some disk space, or run `perf-matrix clean`." if "no space left" in str(reason) else ""
        raise InfrastructureError(f"the engine could not {what}: {reason}", hint) from error


@contextlib.contextmanager
def of_the_api() -> Iterator[None]:
    """Turn the errors of an answer that is not of the form of the Docker Engine API into InfrastructureErrors."""
    try:
        yield
    except (MatrixError, *_OF_THE_ENGINE):  # some of requests' errors are ValueErrors, too
        raise
    except Exception as error:  # the docker package raises plain Exceptions, and json RecursionErrors
        reason = f"the engine's answer is not of the Docker Engine API: {error!r}"
        raise InfrastructureError(reason, "Is it an engine that answers there? See DOCKER_HOST.") from error
