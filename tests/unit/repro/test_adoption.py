from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.config.load import Config
from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.model.tree import Delta
from matrix.repro import adoption
from tests.unit import conftest as make
from tests.unit.results import EDIT, done, edited

if TYPE_CHECKING:
    from matrix.model.cell import Cell

HERE = Config(
    images={"debian-trixie": make.image(setup=("true",), provides=("libc",))},
    builds={},
    trees={"7.3": make.tree(string_unit=True), "mine": make.tree("mine", source="dir:/srv/linux", string_unit=True)},
    edits={"slow": EDIT.model_copy(update={"summary": "ours"})},
    claims={},
    profiles={},
    known=(),
)


def adopted(of: Cell, spec: str = "", *, has_patch: bool = False, config: Config = HERE) -> Cell:
    return adoption.adopted(done(of), of, config, spec, has_patch=has_patch)


def test_the_image_and_the_edits_are_ours_and_the_build_is_theirs() -> None:
    build = make.build(make={"V": "1"}, environment={"X": "y"}, requires=("libc",), extends="default")
    then = edited().model_copy(update={"build": build})
    found = adopted(then)
    assert found.image == HERE.images["debian-trixie"] != then.image
    assert found.build == build.model_copy(update={"extends": ""})
    assert found.tree.edits == (HERE.edits["slow"],) != then.tree.edits
    assert found.id == then.id


def test_a_tree_of_the_same_name_and_source_is_the_one_that_is_configured() -> None:
    found = adopted(make.cell())
    assert (found.tree.source, found.tree.string_unit) == ("deb:linux-source-7.3@trixie", True)


def test_of_another_source_a_debian_kernel_is_fetched_and_described_as_they_say() -> None:
    tree = make.tree("deb-1", source="deb:linux-source-6.12@trixie-backports", touch_source="a.c")
    found = adopted(make.cell(on=tree)).tree
    assert (found.name, found.source, found.touch_source) == ("deb-1", tree.source, "a.c")


@pytest.mark.parametrize(
    "source",
    [
        "dir:/srv/linux", "dir:private", "git:/srv/linux@v1", "tar:/etc/passwd", "tar:https://evil.example/x.tar", "",
        "deb:bash@trixie", "deb:linux-source-7.3@trixie\n", "deb:linux-source-7.3@--hook=x", "deb:linux-source-@trixie",
        "ext::sh -c evil", "deb:linux-source-7.3@trixie;x",
    ],
)  # fmt: skip
def test_any_other_source_must_be_given(source: str) -> None:
    cell = make.cell(on=make.tree("other", source=source))
    with pytest.raises(
        UsageError, match=r"the tree other must be given: .*its version 7\.3, its sha256 5{64}"
    ) as caught:
        adopted(cell)
    assert "--tree SPEC: a configured name, git:PATH@REV" in str(caught.value)
    assert caught.value.status == 2
    assert adopted(cell, "dir:/here").tree.source == "dir:/here"


def test_one_of_the_same_name_but_another_source_is_offered() -> None:
    cell = make.cell(on=make.tree("mine+slow", source="dir:private", edits=(EDIT,)))
    with pytest.raises(
        UsageError, match=r"its sha256 \(with its edits\).*\n  Here, tree mine is dir:/srv/linux: if it is"
    ):
        adopted(cell)
    with pytest.raises(UsageError, match="its source there was dir:private\n"):
        adoption.adopted(done(cell, tree=None), cell, HERE, "", has_patch=False)
    found = adopted(cell, "mine").tree
    assert (found.name, found.source, found.string_unit) == ("mine+slow", "dir:/srv/linux", True)


def test_the_given_tree_has_no_edits_of_its_own() -> None:
    with pytest.raises(UsageError, match=r"--tree 7.3\+slow has edits"):
        adopted(make.cell(), "7.3+slow")
    with pytest.raises(UsageError, match=r"no tree '7\.4'"):
        adopted(make.cell(), "7.4")


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ({"of": make.image("debian-trixi")}, r"there is no image 'debian-trixi' here; did you mean 'debian-trixie'\?"),
        ({"of": make.image(toolchains={"clang": {}}), "toolchain": "clang"}, "image debian-trixie has no toolchain"),
        (
            {"what": make.build(requires=("llvm", "libc"))},
            "image debian-trixie does not provide llvm here, which build",
        ),
    ],
)
def test_what_must_be_here_and_is_not_is_named(of: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=rf"{why}(.|\n)*--configs"):
        adopted(make.cell(**of))


def test_an_edit_that_is_not_here_is_not_taken_from_theirs() -> None:
    without = Config(**{**vars(HERE), "edits": {}})
    with pytest.raises(UsageError, match="there is no edit 'slow' here"):
        adopted(edited(), config=without)


def test_a_tree_with_a_patch_needs_the_patch() -> None:
    tree = make.tree(delta=Delta(repository="private", base="1", commit="2", sha256="0"))
    assert adopted(make.cell(on=tree), has_patch=True).tree.delta is None
    with pytest.raises(UsageError, match="has a patch, which only its bundle holds"):
        adopted(make.cell(on=tree))


def test_no_limit_is_beyond_the_usual() -> None:
    wide = Limits(memory_bytes=1 << 60, disk_bytes=1 << 60, pids=64, step_s=1 << 40)
    assert adoption.bounded(wide) == Limits(pids=64)
