"""References between files of the configuration: each name in one must be the name of something in another. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.checks import registry
from matrix.config import adhoc_build
from matrix.credentials import has_credentials
from matrix.errors import UsageError, did_you_mean
from matrix.model.build import ADHOC
from matrix.verdicts import requirement
from matrix.verdicts.comparison import MEASURES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from matrix.config.load import Config


@dataclass(frozen=True)
class _Reference:
    """A name in a document, under the key `key`; `known` are the names that exist.

    `document` is the document's kind and name, `lacking` the words before an unknown name, for example `no check`.
    """

    document: str
    key: str
    lacking: str
    name: str
    known: Collection[str]

    @property
    def is_known(self) -> bool:
        """Whether the name exists."""
        return self.name in self.known

    @property
    def mistake(self) -> str:
        """The sentence for an unknown name."""
        return f"{self.document}: key {self.key!r}: {self.lacking} {self.name!r}{did_you_mean(self.name, self.known)}"


def mistakes(config: Config) -> list[str]:
    """Return a line for each unknown name, and for each requirement of a profile that cannot be parsed."""
    unknown = [reference.mistake for reference in _references(config) if not reference.is_known]
    return [*unknown, *_requirement_mistakes(config), *_credentials(config), *_adhoc_mistakes(config)]


def _references(config: Config) -> Iterator[_Reference]:
    checks = registry()
    for failure in config.known:
        yield _Reference("known-failures.yaml", "check", "no check", failure.check, checks)
    yield from _of_builds(config)
    yield from _of_edits(config, checks)
    yield from _of_claims(config, checks)
    yield from _of_profiles(config)


def _of_builds(config: Config) -> Iterator[_Reference]:
    provided = {name for image in config.images.values() for name in image.provides}
    for build in config.builds.values():
        for need in build.requires:
            yield _Reference(f"build {build.name}", "requires", "no image provides", need, provided)


def _adhoc_mistakes(config: Config) -> Iterator[str]:
    """Yield a line for each build with a name of those that a command line says, which it is not."""
    for build in config.builds.values():
        if build.is_adhoc and build.name != adhoc_build.name(build):
            yield f"build {build.name}: names that begin with {ADHOC} are those of builds on a command line"


def _of_edits(config: Config, checks: Collection[str]) -> Iterator[_Reference]:
    for edit in config.edits.values():
        document = f"edit {edit.name}"
        for name in edit.includes:
            yield _Reference(document, "includes", "no edit", name, config.edits)
        if edit.expect:
            yield _Reference(document, "expect.check", "no check", edit.expect.check, checks)


def _of_claims(config: Config, checks: Collection[str]) -> Iterator[_Reference]:
    for claim in config.claims.values():
        document = f"claim {claim.name}"
        if claim.decided_by:
            yield _Reference(document, "decided_by.check", "no check", claim.decided_by.check, checks)
        if claim.measured_by:
            measure = claim.measured_by.measure
            yield _Reference(document, "measured_by.measure", "nothing measures", measure, MEASURES)


def _of_profiles(config: Config) -> Iterator[_Reference]:
    for profile in config.profiles.values():
        configured = [word for word in profile.trees if ":" not in word]  # the other words are sources
        for word in configured:
            yield _Reference(f"profile {profile.name}", "trees", "no tree", word, config.trees)


def _credentials(config: Config) -> Iterator[str]:
    """Yield a line for each tree whose source has credentials, which would be in every result on it."""
    for tree in config.trees.values():
        if has_credentials(tree.source):
            yield f"tree {tree.name}: key 'source': credentials in an address; put the password into ~/.netrc"


def _requirement_mistakes(config: Config) -> Iterator[str]:
    for profile in config.profiles.values():
        for text in profile.require:
            try:
                requirement.parse(text)
            except UsageError as error:
                yield f"profile {profile.name}: key 'require': {error}"
