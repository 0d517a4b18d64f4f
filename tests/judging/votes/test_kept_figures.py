"""What takes long is kept while nothing changed, and no longer."""

import pytest

from annotation.models import Gold
from judging.models import GoldSplit
from judging.votes import kept_figures
from judging.votes.kept_figures import kept
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def study():
    return builders.study()


@pytest.fixture
def work(monkeypatch):
    """Return a function that counts how often it was called;
    what it gives is kept however quick it was, and no age is forgiven."""
    monkeypatch.setattr(kept_figures, "AGE_FACTOR", 0)
    monkeypatch.setattr(kept_figures, "SLOW", 0)
    done = []
    return lambda: done.append(1) or len(done)


def test_kept_while_nothing_changes(study, work):
    assert [kept(study, "a", 1, work), kept(study, "a", 1, work)] == [1, 1]


def test_by_name_key_and_study(study, work):
    other = builders.study("other")
    figures = [
        kept(*args, work) for args in [(study, "a", 1), (study, "a", 2), (study, "b", 1), (other, "a", 1)]
    ]
    assert figures == [1, 2, 3, 4]


@pytest.mark.parametrize("what", ["rating", "gold", "split", "voters", "draw"])
def test_done_again_once_something_changed(study, work, what):
    kept(study, "a", 1, work)
    item = study.items.first()
    if what == "rating":
        builders.rate(item, builders.rater())
    elif what == "gold":
        Gold.objects.create(item=item, label=study.scheme.labels.first(), origin="single")
    elif what == "split":
        GoldSplit.objects.create(study=study)
    elif what == "draw":
        builders.draw(study)
    else:
        study.voters = ["humans"]
    assert kept(study, "a", 1, work) == 2


def test_what_is_quick_is_not_kept(study, work, monkeypatch):
    monkeypatch.setattr(kept_figures, "SLOW", 60)
    assert [kept(study, "a", 1, work), kept(study, "a", 1, work)] == [1, 2]


def test_while_labels_come_it_may_be_a_little_old(study, work, monkeypatch):
    monkeypatch.setattr(kept_figures, "AGE_FACTOR", float("inf"))
    kept(study, "a", 1, work)
    builders.rate(study.items.first(), builders.rater())
    assert kept(study, "a", 1, work) == 1
    monkeypatch.setattr(kept_figures, "AGE_FACTOR", 0)
    assert kept(study, "a", 1, work) == 2
