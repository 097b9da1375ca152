"""Images to and from a registry, which is not trusted: the engine checks content by the digest that was asked for."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, ImageNotFound

from matrix.engine.backends.docker.client import WORK_S, patience
from matrix.errors import InfrastructureError
from matrix.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

HINT = "Is the registry up, and does the engine trust it (TLS, or a loopback address)? See docs/engines.md."

_PUSHED = re.compile(r"\S+: digest: (sha256:[0-9a-f]{64}) size: \d+")
"""The line by which Docker and Podman end a push."""


def pull(client: Any, reference: str) -> str:
    """Pull an image by its digest (see Engine.pull_by_digest)."""
    said = f"{reference} could not be pulled"
    try:
        _follow(client.api.pull(reference, stream=True, decode=True), said)
        image = client.images.get(reference)
    except ImageNotFound as error:
        raise InfrastructureError(f"{said}: the registry does not have it", HINT) from error
    except APIError as error:
        raise InfrastructureError(f"{said}: {one_line(str(error.explanation))}", HINT) from error
    _check_digest(image, reference)
    return str(image.id)


def _check_digest(image: Any, reference: str) -> None:
    """Refuse an image that the engine has under other digests than the one that was asked for."""
    digest = reference.partition("@")[2]
    digests = image.attrs.get("RepoDigests") or []
    if digest not in {name.partition("@")[2] for name in digests}:
        raise InfrastructureError(
            f"the engine has another image for {reference}: {', '.join(digests) or 'one without a digest'}",
            "The image is not used: cells run on the bytes that were pushed, or not at all.",
        )


def push(client: Any, tag: str, target: str) -> str:
    """Push an image (see Engine.push); the name of it that a push needs is removed afterwards."""
    repository, _, version = target.rpartition(":")
    client.images.get(tag).tag(repository, version)
    try:
        with patience(client.api, WORK_S):
            messages = _follow(
                client.api.push(repository, tag=version, stream=True, decode=True), f"{target} could not be pushed"
            )
    finally:
        with contextlib.suppress(APIError):  # the push's own error counts
            client.api.remove_image(target)
    found = [match[1] for line in messages if (match := _PUSHED.fullmatch(line.strip()))]
    if not found:
        raise InfrastructureError(f"the engine gives no digest of {target}, which it pushed", HINT)
    return found[-1]


def _follow(messages: Iterable[dict[str, Any]], said: str) -> list[str]:
    """Return the lines of the engine on its work, once it is done.

    Raises:
        InfrastructureError: one of them is an error; `said` is the beginning of the sentence.

    """
    lines = []
    for message in messages:
        if "error" in message:
            raise InfrastructureError(f"{said}: {one_line(str(message['error']))}", HINT)
        lines.append(str(message.get("status", "")))
    return lines
