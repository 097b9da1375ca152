from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def written(root: Path, **files: str) -> Path:
    """Write `builds__x="…"` to builds/x.yaml and return the folder."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/').replace('_', '-')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def mistakes(*folders: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load.load(folders)
    return str(caught.value)


def test_the_products_own_configuration_has_no_mistake() -> None:
    loaded = load.load()
    assert loaded.images
    assert loaded.builds
    assert loaded.trees
    assert loaded.profiles


def test_the_folder_of_cell_tests_is_there() -> None:
    assert (load.cell_tests() / "test_cells.py").is_file()


def test_an_extra_folder_adds_to_what_there_is(tmp_path: Path) -> None:
    extra = written(
        tmp_path,
        builds__mine="summary: mine\nmake: {A: '1'}\n",
        trees__mine="source: dir:/srv/linux\n",
        containers__mine="summary: m\nbase: {pull: 'x:1'}\npackages: []\ntoolchains: {gcc: {}}\n",
        profiles__mine="summary: p\nselect: [mine]\ntrees: [mine, 'dir:/elsewhere']\n",
    )
    loaded, own = load.load([extra]), load.load()
    assert loaded.builds["mine"].make == {"A": "1"}
    assert loaded.trees["mine"].source == "dir:/srv/linux"
    assert "mine" in loaded.images
    assert "mine" in loaded.profiles
    assert own.builds.keys() < loaded.builds.keys()


def test_an_extra_folder_may_have_configs_inside(tmp_path: Path) -> None:
    written(tmp_path / "configs", builds__mine="summary: mine\n")
    assert "mine" in load.load([tmp_path]).builds


def test_a_later_folder_replaces_a_file_of_the_same_name(tmp_path: Path) -> None:
    extra = written(tmp_path, builds__minimal="summary: my own\n")
    assert load.load([extra]).builds["minimal"].summary == "my own"


def test_a_build_takes_over_the_keys_of_the_one_that_it_extends(tmp_path: Path) -> None:
    extra = written(
        tmp_path,
        builds__a="summary: a\nmake: {A: '1', B: '1'}\nout_of_tree: true\n",
        builds__b="summary: b\nextends: a\nmake: {B: '2'}\n",
        builds__c="summary: c\nextends: b\nmake: {C: '3'}\n",
    )
    last = load.load([extra]).builds["c"]
    assert last.make == {"A": "1", "B": "2", "C": "3"}
    assert last.out_of_tree
    assert last.name == "c"


def test_extending_in_a_circle_is_refused(tmp_path: Path) -> None:
    extra = written(tmp_path, builds__a="summary: a\nextends: b\n", builds__b="summary: b\nextends: a\n")
    text = mistakes(extra)
    assert "a.yaml: key 'extends': " in text
    assert "is a circle" in text
    assert "a -> b -> a" in text


def test_extending_itself_is_refused(tmp_path: Path) -> None:
    assert "a -> a is a circle" in mistakes(written(tmp_path, builds__a="summary: a\nextends: a\n"))


def test_extending_what_is_not_there_is_refused(tmp_path: Path) -> None:
    text = mistakes(written(tmp_path, builds__a="summary: a\nextends: minimall\n"))
    assert "key 'extends': no 'minimall'; did you mean 'minimal'?" in text


def test_extends_that_is_no_name_is_refused(tmp_path: Path) -> None:
    text = mistakes(written(tmp_path, builds__a="summary: a\nextends: 1.10\n"))
    assert "key 'extends': expected a valid string, found a number (1.1)" in text


def test_extending_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    text = mistakes(written(tmp_path, builds__a="[]\n", builds__b="extends: a\n"))
    assert "a.yaml: expected keys and values, found a list ([])" in text
    assert "b.yaml: key 'summary' is missing" in text


def test_a_file_that_says_another_name_is_refused(tmp_path: Path) -> None:
    text = mistakes(written(tmp_path, builds__a="summary: a\nname: b\n"))
    assert "a.yaml: key 'name': expected 'a', found 'b'" in text


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    extra = written(
        tmp_path / "one",
        builds__a="summary: a\nmak: {}\n",
        builds__b="summary: b\nmake: {NO_X: NO, VERSION: 1.10}\n",
        trees__c="source: x\nsource: y\n",
        containers__d="summary: d\n",
        profiles__e="summary: e\nselect: [x]\ntrees: ['7.4']\n",
        known_failures="failures: [{trees: x}]\n",
    )
    text = mistakes(extra, tmp_path / "nowhere")
    for expected in (
        "nowhere: no such folder",
        "a.yaml: unknown key 'mak'; did you mean 'make'?",
        "b.yaml: key 'make.NO_X': expected a valid string, found true or false (false)",
        "b.yaml: key 'make.VERSION': expected a valid string, found a number (1.1)",
        "c.yaml: line 2: duplicate key 'source' (first on line 1)",
        "d.yaml: key 'base' is missing",
        "profile e: key 'trees': no tree '7.4'; did you mean",
        "known-failures.yaml: key 'failures.0.why' is missing",
    ):
        assert expected in text


def test_a_requirement_that_no_image_provides_is_refused(tmp_path: Path) -> None:
    text = mistakes(written(tmp_path, builds__a="summary: a\nrequires: [static-lib]\n"))
    assert "build a: key 'requires': no image provides 'static-lib'; did you mean 'static-libc'?" in text


def test_known_failures_of_all_folders_are_kept(tmp_path: Path) -> None:
    entry = "failures: [{trees: ['7.3'], cells: ['*'], check: no-op, findings: ['changed:*'], why: w, evidence: e}]\n"
    folders = [written(tmp_path / name, known_failures=entry) for name in ("one", "two")]
    kept = load.load(folders).known
    assert len(kept) == len(load.load().known) + 2
    assert kept[-1].findings == ("changed:*",)


def test_a_known_failure_of_a_check_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    entry = "failures: [{trees: ['7.3'], cells: ['*'], check: no-opp, findings: ['changed:*'], why: w, evidence: e}]\n"
    assert "no-opp" in mistakes(written(tmp_path, known_failures=entry))


def test_a_mistake_in_a_file_is_not_told_again_of_those_that_extend_it(tmp_path: Path) -> None:
    extra = written(tmp_path, builds__a="summary: a\nsummary: a\n", builds__b="summary: b\nextends: a\n")
    assert "no 'a'" not in mistakes(extra)


EDIT = """
summary: forgets @what@
trees: ['7.3']
each:
  one: {what: '1'}
  two: {what: '2'}
changes: [{file: a/@name@, find: '@what@'}]
expect: {check: clean, cells: [i/t/b], findings: ['left:@what@']}
"""


def test_an_edit_with_each_stands_for_one_edit_an_item(tmp_path: Path) -> None:
    found = load.load([written(tmp_path, edits__forgets=EDIT)]).edits
    assert (found["forgets-one"].summary, found["forgets-two"].summary) == ("forgets 1", "forgets 2")
    assert found["forgets-two"].changes[0].file == "a/two"
    expected = found["forgets-two"].expect
    assert expected is not None
    assert expected.findings == ("left:2",)
    assert "forgets" not in found


def test_each_may_have_items_without_values(tmp_path: Path) -> None:
    text = "summary: '@name@'\ntrees: ['*']\neach: {a: , b: }\n"
    found = load.load([written(tmp_path, edits__e=text)]).edits
    assert (found["e-a"].summary, found["e-b"].summary) == ("a", "b")


def test_what_is_no_string_is_the_same_for_each_item(tmp_path: Path) -> None:
    text = "summary: '@name@'\ntrees: ['*']\nchanges: [{file: f, find: x, matches: 3}]\neach: {a: , b: }\n"
    found = load.load([written(tmp_path, edits__e=text)]).edits
    assert [found[name].changes[0].matches for name in ("e-a", "e-b")] == [3, 3]


def test_a_key_of_an_item_that_nothing_says_is_a_mistake(tmp_path: Path) -> None:
    text = EDIT.replace("two: {what: '2'}", "two: {what: '2', also: x}")
    assert "forgets: key 'each.two.also': nothing in the file says @also@" in mistakes(
        written(tmp_path, edits__forgets=text)
    )


def test_an_edit_names_checks_and_edits_that_there_are(tmp_path: Path) -> None:
    found = mistakes(
        written(
            tmp_path,
            edits__bad=EDIT.replace("check: clean", "check: claen"),
            edits__more="summary: s\ntrees: ['*']\nincludes: [bad-on]\n",
        )
    )
    assert "edit bad-one: key 'expect.check': no check 'claen'; did you mean 'clean'?" in found
    assert "edit more: key 'includes': no edit 'bad-on'; did you mean 'bad-one'?" in found


def test_a_claim_names_a_check_that_there_is(tmp_path: Path) -> None:
    text = "summary: s\ndecided_by: {check: claen, cell: i/t/b, refuted_by: ['*']}\n"
    found = mistakes(written(tmp_path, claims__c=text))
    assert "claim c: key 'decided_by.check': no check 'claen'; did you mean 'clean'?" in found


def test_what_would_be_passed_over_in_a_folder_of_ones_own_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "buils").mkdir()
    assert "holds no configuration; expected folders containers, builds," in mistakes(tmp_path)
    written(tmp_path, builds__mine="summary: s\n")
    (tmp_path / "builds" / "other.yml").touch()
    assert "other.yml: expected a name that ends in .yaml" in mistakes(tmp_path)


def test_a_folder_of_known_failures_alone_is_configuration(tmp_path: Path) -> None:
    assert load.load([written(tmp_path, known_failures="failures: []\n")]).known == load.load().known


def test_a_claim_about_time_names_a_measure_that_there_is(tmp_path: Path) -> None:
    text = "{summary: c, measured_by: {measure: noop, cell: i/gcc/b, at_most: 0.5}}"
    found = mistakes(written(tmp_path, claims__c=text))
    assert "claim c: key 'measured_by.measure': nothing measures 'noop'; did you mean 'no-op'?" in found
    found = mistakes(written(tmp_path, claims__c="{summary: c, measured_by: {measure: build, cell: x, at_most: 1}}"))
    assert "claims/c.yaml: key 'measured_by.cell': expected IMAGE/TOOLCHAIN/BUILD, found 'x'" in found


def test_a_profile_requires_what_can_be_measured(tmp_path: Path) -> None:
    text = "{summary: p, select: ['*'], require: ['build at least 5 % faster', 'build soon']}"
    found = mistakes(written(tmp_path, profiles__p=text))
    assert "profile p: key 'require': 'build soon' is no requirement" in found
    assert "at least" not in found.partition("\n")[0]
