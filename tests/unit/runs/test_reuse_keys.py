"""The keys of a cell: what they have in them, and when there is none."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest

from matrix.errors import InfrastructureError
from matrix.model.result import Verdict
from matrix.runs import judgement, kernel_types, program_files, reuse, store
from matrix.runs.reuse import Surroundings
from matrix.scenario import plan
from tests.unit import conftest as make
from tests.unit.results import done
from tests.unit.runs.cell_contexts import CELL, LOADED, context
from tests.unit.runs.kept_cells import FAILED, TRANSCRIPT, begun, kept

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.result import CellResult

pytestmark = pytest.mark.usefixtures("places")


def surroundings(sha256: str = "5" * 64, **host: str) -> Surroundings:
    described = {"url": "unix:///run/engine.sock", "kernel": os.uname().release, **host}
    result = done(CELL)
    assert result.image
    assert result.tree
    return Surroundings(result.image, result.tree.model_copy(update={"sha256": sha256}), described)


def test_a_key_has_the_content_of_the_tree() -> None:
    scenario = plan.scenario(CELL)
    assert reuse.transcript_key(scenario, surroundings()) == reuse.transcript_key(scenario, surroundings())
    assert reuse.transcript_key(scenario, surroundings()) != reuse.transcript_key(scenario, surroundings("6" * 64))


SKELETONS = make.cell(of=LOADED.images["debian-trixie"], what=LOADED.builds["default"], on=LOADED.trees["7.3"])


@pytest.mark.parametrize("host", [{"url": "tcp://other:2376"}, {"kernel": "0.0.1"}, {"url": ""}])
def test_a_build_with_skeletons_has_no_key_where_the_engines_kernel_is_not_this_one(host: dict[str, str]) -> None:
    assert reuse.transcript_key(plan.scenario(SKELETONS), surroundings(**host)) == ""
    assert reuse.transcript_key(plan.scenario(SKELETONS), surroundings())
    assert reuse.transcript_key(plan.scenario(CELL), surroundings(**host))


def test_another_kernels_types_are_another_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = set()
    for name in ("none", "one", "two"):
        path = tmp_path / name
        if name != "none":
            path.write_text(name)
        kernel_types._of_this_machine.cache_clear()
        monkeypatch.setattr(kernel_types, "BTF", str(path))
        keys.add(reuse.transcript_key(plan.scenario(SKELETONS), surroundings()))
    kernel_types._of_this_machine.cache_clear()
    assert len(keys) == 3


HEAD = make.cell(of=CELL.image, what=CELL.build, on=make.tree("head"))


def on_base() -> tuple[Any, CellResult]:
    """Return the context of the cell on the head, whose base is there and reused, and the base's result."""
    kept()
    run = store.begin([CELL, HEAD], [CELL.tree.name, "head"], [], 2, base=CELL.tree.name)
    where = context(HEAD, base=judgement.BaseCells(run, CELL.tree.name))
    where = dataclasses.replace(where, run=run)
    base = reuse.adopted(begun(), dataclasses.replace(context(CELL), run=run))
    assert base
    run.save(base)
    return where, base


def test_the_key_of_a_result_has_that_of_its_base() -> None:
    where, base = on_base()
    keys = {reuse.result_key_of(TRANSCRIPT, HEAD, context(HEAD)), reuse.result_key_of(TRANSCRIPT, HEAD, where)}
    where.run.save(base.model_copy(update={"verdict": Verdict.SKIP, "steps": ()}))
    keys.add(reuse.result_key_of(TRANSCRIPT, HEAD, where))
    assert len(keys) == 3
    assert "" not in keys
    assert reuse.result_key_of("", HEAD, where) == ""


def test_a_base_that_is_not_the_one_of_the_index_gives_no_key() -> None:
    """A base whose second make failed by chance, or one from a shard of another machine, would judge for good."""
    where, base = on_base()
    where.run.save(base.model_copy(update={"steps": FAILED}))
    assert reuse.result_key_of(TRANSCRIPT, HEAD, where) == ""
    where.run.save(base)
    where.run.save_transcript(CELL.id, [b"another transcript"])
    assert reuse.result_key_of(TRANSCRIPT, HEAD, where) == ""
    where.run.forget_transcript(CELL.id)
    assert reuse.result_key_of(TRANSCRIPT, HEAD, where) == ""


def test_a_base_cell_without_a_result_is_an_error_before_anything_is_built() -> None:
    run = store.begin([CELL, HEAD], [CELL.tree.name, "head"], [], 2, base=CELL.tree.name)
    where = context(HEAD, base=judgement.BaseCells(run, CELL.tree.name))
    with pytest.raises(InfrastructureError, match="has no result to compare with"):
        reuse.result_key_of(TRANSCRIPT, HEAD, where)


def test_the_digest_of_the_program_changes_with_a_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program_files, "PACKAGE", tmp_path)
    digests = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "a.py").write_text(text)
        program_files.digest.cache_clear()
        digests.append(program_files.digest())
    program_files.digest.cache_clear()
    assert len(set(digests)) == 2
