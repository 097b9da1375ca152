"""The base class of all nouns, and the forms of their names."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+-]*$")]
EditName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
MakeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Frozen(BaseModel):
    """A value: unknown keys are refused, types are not converted, and its fields never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
