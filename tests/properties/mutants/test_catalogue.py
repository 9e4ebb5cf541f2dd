"""The list of mutants does not rot: each fits its file and names tests that exist. ``make mutants`` hunts them all."""

from collections import Counter

import pytest

from tests.properties.mutants import catalogue
from tests.properties.mutants.__main__ import is_expected
from tests.properties.mutants.hunting import Hunt, hunt, places_of_tests, read
from tests.properties.mutants.mutant import PROTOCOL, ROOT, Misfit, Mutant, mutated


@pytest.mark.parametrize("one", catalogue.PLANTED, ids=lambda one: one.name)
def test_a_mutant_fits_its_file_once_and_is_still_a_program(one: Mutant):
    text = mutated(one)
    if one.file.endswith(".py"):
        compile(text, one.file, "exec")


def test_a_mutant_that_fits_no_longer_is_an_error():
    for guard in ("what nobody wrote", "SELECT"):
        with pytest.raises(Misfit, match="and not once"):
            mutated(Mutant("misfit", "", PROTOCOL, {guard: ""}, ()))


def test_every_mutant_has_a_name_of_its_own():
    assert [name for name, times in Counter(one.name for one in catalogue.ALL).items() if times > 1] == []


def test_the_tests_that_should_notice_exist_once():
    places = {name: places_of_tests().get(name, ()) for name in catalogue.NOTHING.noticed_by if "/" not in name}
    assert {name: files for name, files in places.items() if len(files) != 1} == {}
    assert [name for name in catalogue.NOTHING.noticed_by if "/" in name and not (ROOT / name).exists()] == []


def test_most_of_them_are_of_the_sql():
    assert len(catalogue.OF_SQL) > len(catalogue.PLANTED) / 2


def test_a_defect_is_noticed_by_tests_that_a_healthy_tree_passes(postgres):
    one = catalogue.named("no_fence")
    found, healthy = (hunt(each, postgres.url) for each in (one, catalogue.NOTHING._replace(noticed_by=one.noticed_by)))
    assert "::" in (found.noticed_by or found.output)
    assert healthy.noticed_by is healthy.broken is None


def test_a_mutant_that_cannot_run_proves_nothing():
    said = "cannot run: UndefinedColumnError('there is no unmet')\n"
    assert read(1, said) == Hunt(None, said.strip(), said)
    assert read(4, "no such test").broken == "pytest ended with 4"
    assert read(1, "a test has failed and nobody says which").broken == "pytest ended with 1"


def test_a_survivor_is_expected_if_and_only_if_something_masks_it():
    killable = Mutant("x", "", PROTOCOL, {}, ())
    masked = killable._replace(masked_by="a guard")
    noticed, survived, broken = Hunt("a test", None, ""), Hunt(None, None, ""), Hunt(None, "why", "")
    assert [is_expected(killable, found) for found in (noticed, survived, broken)] == [True, False, False]
    assert [is_expected(masked, found) for found in (noticed, survived, broken)] == [False, True, False]
