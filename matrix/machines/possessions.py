"""The engine and the images that this machine has, as a worker tells them: results of earlier runs depend on them."""

from __future__ import annotations

from pydantic import TypeAdapter

from matrix.engine import backends, images
from matrix.errors import MatrixError, UsageError
from matrix.machines.messages import Possessions
from matrix.model.base import first_problem
from matrix.model.image import Image
from matrix.runs import kernel_types

_IMAGES: TypeAdapter[list[Image]] = TypeAdapter(list[Image])


def _wanted(text: str) -> list[Image]:
    try:
        return _IMAGES.validate_json(text)
    except ValueError as error:
        raise UsageError(f"the images that a worker is asked for have another form: {first_problem(error)}") from error


def of_this_machine(text: str) -> Possessions:
    """Return what this machine has; `text` are images, as JSON. Without an engine it has nothing.

    Raises:
        UsageError: the text has another form.

    """
    wanted = _wanted(text)
    try:
        engine = backends.connect()
        host = engine.describe()
        found = {image.name: images.present(image, engine) for image in wanted}
    except (MatrixError, OSError):
        return Possessions()
    btf = kernel_types.of(host)
    told = {} if btf is None else {kernel_types.FACT: btf}
    return Possessions(host={**host, **told}, images={name: image for name, image in found.items() if image})
