from __future__ import annotations

from matrix.scenario import environments
from tests.unit.conftest import build, cell, image


def test_the_second_build_has_another_home_locale_time_zone_and_hash_seed() -> None:
    first, second = (environments.of_builds(cell())[name] for name in ("first", "second"))
    for name in ("HOME", "LC_ALL", "TZ", "PYTHONHASHSEED"):
        assert first[name] != second[name]
    assert first["PATH"] == second["PATH"]
    assert "FAKETIME" not in second


def test_the_second_build_has_another_date_where_the_image_can_fake_it() -> None:
    found = environments.of_builds(cell(of=image(packages=("faketime",))))
    assert found["second"]["FAKETIME"] == "+400d"
    assert "LD_PRELOAD" not in found["first"]


def test_a_builds_environment_is_that_of_both_builds() -> None:
    found = environments.of_builds(cell(what=build(environment={"TZ": "CET", "A": "1"})))
    assert [(env["TZ"], env["A"]) for env in found.values()] == [("CET", "1"), ("CET", "1")]
