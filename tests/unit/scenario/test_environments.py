from __future__ import annotations

from matrix.scenario import environments
from tests.unit.conftest import build, cell, image


def test_the_second_build_has_another_home_locale_time_zone_and_hash_seed() -> None:
    of = cell(what=build(make={"prefix": "/usr"}))
    first, second = (environments.of_builds(of)[name] for name in ("first", "second"))
    for name in ("HOME", "LC_ALL", "TZ", "PYTHONHASHSEED"):
        assert first[name] != second[name]
    assert first["PATH"] == second["PATH"]
    assert "FAKETIME" not in second


def test_the_second_build_has_another_date_where_the_image_can_fake_it() -> None:
    found = environments.of_builds(cell(of=image(packages=("faketime",))))
    assert found["second"]["FAKETIME"] == "+400d"
    assert "LD_PRELOAD" not in found["first"]


def test_the_home_folder_is_the_same_where_perf_takes_it_for_its_prefix() -> None:
    for of in (cell(), cell(what=build(environment={"A": "1"}))):
        first, second = environments.of_builds(of).values()
        assert first["HOME"] == second["HOME"]
    first, second = environments.of_builds(cell(what=build(environment={"prefix": "/opt"}))).values()
    assert first["HOME"] != second["HOME"]


def test_a_relative_output_folder_is_found_from_the_folder_that_a_shell_would_name() -> None:
    first, second = environments.of_builds(cell(what=build(out_of_tree=True, output_word="../out"))).values()
    assert (first["PWD"], second["PWD"]) == ("/src", "/src")
    assert "PWD" not in environments.of_builds(cell(what=build(out_of_tree=True)))["first"]


def test_a_builds_environment_is_that_of_both_builds() -> None:
    found = environments.of_builds(cell(what=build(environment={"TZ": "CET", "A": "1"})))
    assert [(env["TZ"], env["A"]) for env in found.values()] == [("CET", "1"), ("CET", "1")]
