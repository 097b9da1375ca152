"""The base class of all nouns that come from or go to files, the forms of their names, and a broken file's problem."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

# Names are parts of ids (`IMAGE/TOOLCHAIN/BUILD@TREE`), of globs over ids and of paths: no `/`, `@`, `*` or blank.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+-]*$")]
# A tree's name ends in `+NAME` for each edit, so an edit's name has no `+`.
EditName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
# Make takes almost any name; these are the shell's (POSIX.1-2017, XBD 3.235 "Name"), so they need no quotes anywhere.
MakeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

# A goal is a word of make's command line, and may be the name of a file: no option, and nothing for a shell.
GoalName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$", max_length=200)]


class Frozen(BaseModel):
    """A value whose fields never change; unknown keys and infinite numbers are refused, types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def first_problem(error: Exception) -> str:
    """Return what is wrong with a file in one line: of a validation the first of its problems, and where it is."""
    if not isinstance(error, ValidationError):
        return str(error)
    first, *others = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {first['msg']}{more}" if where else f"{first['msg']}{more}"
