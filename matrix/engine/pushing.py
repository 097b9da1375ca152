"""Pushes an image to a registry, and writes down how others get the same bytes: a recipe for their `--configs`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.engine import images
from matrix.errors import UsageError
from matrix.model.image import REGISTRY, Image, Pushed

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine


def check(registry: str) -> None:
    """Refuse words that are no registry.

    Raises:
        UsageError: the words have another form than HOST, HOST:PORT or HOST:PORT/PATH.

    """
    host = registry.partition("/")[0]
    # As in Docker's grammar; it takes any other first part for a folder of its own public registry.
    is_host = "." in host or ":" in host or host == "localhost"
    if not is_host or not re.fullmatch(REGISTRY, registry):
        raise UsageError(
            f"{registry!r} is no registry",
            "A registry is HOST, HOST:PORT or HOST:PORT/PATH, and the host has a dot or a port: registry.example:5000. "
            "Passwords are the engine's matter: `docker login`, `podman login`.",
        )


def push(image: Image, registry: str, engine: Engine, say: Callable[[str], None]) -> Image:
    """Push an image, which is made now if it is not there; return its recipe with the name and digest of the push.

    Args:
        image: the image's recipe; the registry that it may have been pushed to before counts for nothing.
        registry: the registry, as `registry.example:5000`.
        engine: the engine that has the image.
        say: is called with each line of progress.

    Raises:
        InfrastructureError: the image could not be made, or the registry does not take it.

    """
    recipe = image.model_copy(update={"pushed": None})
    made = images.prepare(recipe, engine, say)
    name = f"{registry}/{made.tag.rpartition(':')[0]}"
    say(f"pushing {made.tag} to {registry}")
    digest = engine.push(made.tag, f"{registry}/{made.tag}")
    pushed = Pushed(reference=f"{name}@{digest}", recipe=images.recipe_hash(recipe), base=made.base)
    return recipe.model_copy(update={"pushed": pushed})
