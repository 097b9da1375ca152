"""The request for a comparison, in words of the command line, and its resolution to cells and measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import matches
from matrix.runs import schedule
from matrix.timing.bench import Asked
from matrix.verdicts import requirement
from matrix.verdicts.comparison import MEASURES

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import Place


@dataclass(frozen=True)
class ComparisonRequest:
    """A request for a comparison of two trees in one place.

    `base` and `head` are words for trees. Without `measures` all are measured; the requirements of `require` and of the
    profile add the measures that they are about. `pairs` is the number of rounds, `seed` the seed of their random
    order; 0 `jobs` means as many as there are processors.
    """

    place: Place
    base: str
    head: str
    pairs: int
    measures: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    profile: str = ""
    seed: int = 0
    jobs: int = 0

    def resolved(self, config: Config) -> Asked:
        """Return the comparison that the bench is to make.

        Raises:
            UsageError: a measure, requirement, profile, tree or place does not exist, or the profile requires nothing.

        """
        for name in self.measures:
            _refuse_unknown_measure(name)
        required = (*self.require, *_required_by_profile(config, self.profile))
        wanted = {*self.measures, *(requirement.parse(text).measure for text in required)}
        return Asked(
            base=_cell(config, self.place, self.base),
            head=_cell(config, self.place, self.head),
            measures=tuple(name for name in MEASURES if name in wanted or not self.measures),
            pairs=self.pairs,
            jobs=schedule.jobs(self.jobs, 1),
            seed=self.seed,
            required=required,
        )


def _refuse_unknown_measure(name: str) -> None:
    if name not in MEASURES:
        raise UsageError(f"no measure {name!r}{did_you_mean(name, MEASURES)}", f"There are: {', '.join(MEASURES)}.")


def _required_by_profile(config: Config, name: str) -> tuple[str, ...]:
    if not name:
        return ()
    required = selection.profile(config, name).require
    if not required:
        raise UsageError(f"profile {name} requires nothing", "`require` in its file lists its requirements on times.")
    return required


def _cell(config: Config, place: Place, word: str) -> Cell:
    tree = tree_words.tree(config, word)
    cells = selection.every(config, [tree])
    found = [cell for cell in cells if matches(cell.id, place.on(tree.name))]
    if not found:
        near = did_you_mean(place, (cell.place for cell in cells))
        raise UsageError(f"no place {place!r}{near}", "--image, --toolchain and --build name it.")
    if len(found) > 1:
        raise UsageError(f"{place!r} selects {len(found)} cells", "--image, --toolchain and --build take a name each.")
    return found[0]
