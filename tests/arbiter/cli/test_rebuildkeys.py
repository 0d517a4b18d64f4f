"""`rebuildkeys` brings right what items keep, whatever became of it."""

import pytest

from annotation.models import Item
from judging.settlement.settling import settle
from tests import builders
from tests.commands import as_json, refusal

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
KEPT = ("votes", "human_votes", "judge_votes", "humans_split", "judges_split", "final", "final_rule")


def kept(study):
    return list(study.items.order_by("pk").values_list(*KEPT))


def test_corrupted_columns_come_right_again(study, cast):
    first, second, third, *_ = study.items.order_by("pk")
    for rater, label in (
        (builders.human(cast["ann"]), "convergence"),
        (builders.human(cast["ben"]), "no_convergence"),
    ):
        builders.rate(first, rater, label)
        builders.rate(second, rater)
    for name in ("judge-a", "judge-b"):
        builders.rate(third, builders.rater(name))
    settle(study)
    before = kept(study)
    Item.objects.update(
        votes="9:9",
        human_votes=7,
        judge_votes=3,
        humans_split=True,
        judges_split=True,
        final=None,
        final_rule="gold",
    )
    assert as_json("rebuildkeys", "tiny") == {"study": "tiny", "items": 6}
    assert kept(study) == before and before[0][3] is True and before[1][6] == "majority"


def test_an_item_that_was_never_settled_keeps_no_label(study):
    label = study.scheme.labels.first()
    Item.objects.update(final=label, final_rule="majority")
    as_json("rebuildkeys", "tiny")
    assert {row[5:] for row in kept(study)} == {(None, "")}


def test_another_studys_items_are_left_alone(study):
    other = builders.study("other")
    other.items.update(votes="9:9")
    as_json("rebuildkeys", "tiny")
    assert {row[0] for row in kept(other)} == {"9:9"}


def test_an_unknown_study_is_refused(db):
    assert "nowhere" in refusal("rebuildkeys", "nowhere")
