"""What an owner decides about a rater."""

import pytest

from annotation.enrolments import enrolment_of, limit, offered, pause
from arbiter.core.errors import UserError
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def mine(study, cast):
    builders.draw(study, per_item=1)
    return enrolment_of(study, builders.human(cast["ann"]))


def given(study, mine):
    """Return the categories of all that the rater is given, one after the other."""
    keys = []
    while serving := builders.take(study, mine.rater):
        keys.append(serving.item.response.task.category.key)
        builders.label(serving)
    return keys


def test_whoever_is_paused_gets_nothing_new_and_finishes_what_they_hold(study, mine):
    held = builders.take(study, mine.rater)
    pause(mine, True)
    assert builders.take(study, mine.rater) == held
    builders.label(held)
    assert builders.take(study, mine.rater) is None
    pause(mine, False)
    assert builders.take(study, mine.rater)


def test_a_cap_and_categories_limit_what_is_given(study, mine):
    limit(mine, cap=2, languages=[], categories=["beta"])
    assert given(study, mine) == ["beta", "beta"]
    limit(mine, cap=None, languages=["en"], categories=[])
    assert sorted(given(study, mine)) == ["alpha", "alpha", "alpha", "beta"]


def test_limits_nobody_could_meet_are_refused(study, mine):
    for odd in ({"cap": 0}, {"languages": ["xx"]}, {"categories": ["gamma"]}):
        with pytest.raises(UserError):
            limit(mine, **({"cap": None, "languages": [], "categories": []} | odd))
    assert offered(study) == (["en"], [("alpha", "Alpha"), ("beta", "Beta")])
