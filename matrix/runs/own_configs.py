"""The configuration in a run's own folder: what no file of the user's says, or must not change when a file does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from matrix import files
from matrix.config import load
from matrix.model.build import Build
from matrix.model.image import Image

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.model.tree import Tree
    from matrix.runs.store import Run

FOLDER = "configs"


def folder(run: Run) -> Path:
    """Return the folder of a run's own configuration, which need not exist."""
    return run.folder / FOLDER


def write(run: Run, *nouns: Image | Build | Tree) -> Config:
    """Write nouns into a run's own configuration, the last of its folders, and return the configuration with them.

    Raises:
        UsageError: what was written cannot be read.

    """
    for noun in nouns:
        text = yaml.safe_dump(noun.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
        files.write(folder(run) / _place(noun) / f"{noun.name}.yaml", text)
    settings = run.settings()
    folders = dict.fromkeys((*settings.configs, str(folder(run))))
    run.save_settings(settings.model_copy(update={"configs": tuple(folders)}))
    return load.load([Path(name) for name in folders])


def _place(noun: Image | Build | Tree) -> str:
    """Return the folder of a kind of document in a folder of configuration."""
    if isinstance(noun, Image):
        return load.IMAGES
    return f"{FOLDER}/builds" if isinstance(noun, Build) else f"{FOLDER}/trees"
