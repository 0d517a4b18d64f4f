"""The audit: a share of what votes alone settled goes to people, as a draw of its own, and what they find."""

import pytest
from django.utils import timezone

from annotation.adjudication import adjudicate
from annotation.draws import extend_draws
from annotation.models import Assignment, Draw, DrawnItem, Item, Rating, Study
from arbiter.core.errors import UserError
from judging.settlement.auditing import audit
from judging.settlement.settling import settle, settle_items
from tests import builders
from tests.databases import rewrite
from tests.judging.settled import panel

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
C, N, S = "convergence", "no_convergence", "safety_refusal"
OTHER = {C: N, N: C}


def drawn():
    return DrawnItem.objects.drawn().filter(draw__name="audit")


def slots(item=None):
    assignments = Assignment.objects.filter(purpose="slot")
    return assignments.filter(item=item) if item else assignments


@pytest.fixture(scope="module")
def settled(rows_of_module):
    study, true = panel()
    return study.pk, true, settle(study, "model", threshold=0.85, audit_share=0.3)


@pytest.fixture
def audited(settled):
    study, true, result = settled
    return Study.objects.get(pk=study), true, result


def test_its_frame_is_what_votes_settled_and_each_item_drawn_has_one_place(audited):
    study, _, result = audited
    draw = Draw.objects.get(name="audit")
    accepted = set(study.items.filter(final_rule="model").values_list("pk", flat=True))
    assert set(draw.framed.values_list("item", flat=True)) == accepted
    assert result["audit"] == {"share": 0.3, "frame": len(accepted), "drawn": drawn().count()}
    assert 0.15 * len(accepted) < drawn().count() < 0.45 * len(accepted)
    assert set(slots().values_list("item", "slot")) == {
        (item, 1) for item in drawn().values_list("item", flat=True)
    }
    assert draw.purpose == "slot" and draw.strata.get().name == "version 1"


def test_raters_are_served_it_like_any_slot(audited):
    study, _, _ = audited
    cast = builders.cast(study)
    builders.ready(study, cast["ann"])
    ann = builders.human(cast["ann"])
    first = builders.take(study, ann)
    assert first.purpose == "slot"
    assert (
        first.item_id in drawn().order_by("number").values_list("item", flat=True)[:20]
    )  # not always the very first
    builders.label(first, C)
    assert audit(study).labelled == 1


def test_other_draws_growing_leaves_its_frame_alone(audited):
    study, _, _ = audited
    before = DrawnItem.objects.filter(draw__name="audit").count()
    item = study.items.first()
    Item.objects.create(study=study, response=builders.response(item.response.run, item.response.task, 99))
    extend_draws(study)
    builders.draw(study, share=0.5, per_item=1)
    extend_draws(study)
    assert DrawnItem.objects.filter(draw__name="audit").count() == before
    assert DrawnItem.objects.filter(draw__name="main").count() == study.items.count()


def test_it_is_asked_for_or_not_made():
    study, _ = panel(tasks=4, epochs=4, share=0, slug="small")
    settle(study)
    assert audit(study) is None and not study.draws.exists()
    for share in (-0.1, 1.1):
        with pytest.raises(UserError, match="audit share"):
            settle(study, audit_share=share)


def test_a_share_that_grows_draws_more_and_one_that_shrinks_undraws_nobody(audited):
    study, _, _ = audited
    before = set(drawn().values_list("pk", flat=True))
    settle(study, "model", threshold=0.85, audit_share=0.1)
    assert set(drawn().values_list("pk", flat=True)) == before and slots().count() == len(before)
    settle(study, "model", threshold=0.85, audit_share=0.6)
    after = set(drawn().values_list("pk", flat=True))
    assert before < after and slots().count() == len(after)


def test_what_a_later_settling_accepts_is_a_stratum_of_its_own(audited):
    study, _, _ = audited
    first = set(DrawnItem.objects.filter(draw__name="audit").values_list("item", flat=True))
    settle(study, "model", threshold=0.75, audit_share=0.5)
    rows = DrawnItem.objects.filter(draw__name="audit").values_list("item", "stratum", "probability")
    assert {item for item, stratum, _ in rows if stratum == "version 1"} == first
    assert {chance for _, stratum, chance in rows if stratum == "version 2"} <= {0.5}
    assert {chance for _, stratum, chance in rows if stratum == "version 1"} == {
        0.5
    }  # it draws more of these too
    settle(study, "model", threshold=0.7, audit_share=0.1)
    rows = DrawnItem.objects.filter(draw__name="audit").values_list("stratum", "probability").distinct()
    assert set(rows) <= {("version 1", 0.5), ("version 2", 0.5), ("version 3", 0.1)}


def test_an_item_that_people_labelled_before_gets_a_place_beside():
    study, true = panel(tasks=6, epochs=6, share=0, slug="small")
    item = study.items.first()
    builders.draw(study, share=1.0, per_item=2)
    builders.rate(item, builders.rater("ann", "human"), true[item.pk])
    settle(study, "majority", audit_share=1.0)
    assert sorted(slots(item).values_list("slot", flat=True)) == [1, 2, 3]
    assert audit(study).labelled == 0  # ann's label was among what it was settled from


def label_all(study, true, wrong=lambda number: False):
    """Have one rater label all that was drawn; some of them as the settlement does not have it."""
    for number, one in enumerate(drawn().order_by("number").select_related("item__final")):
        key = one.item.final.key
        builders.rate(one.item, builders.rater("ann", "human"), OTHER[key] if wrong(number) else key)


def test_what_people_find(audited):
    study, true, _ = audited
    assert audit(study).reason == "nobody has labelled any of it yet" and audit(study).wrong is None
    label_all(study, true, wrong=lambda number: number % 10 == 0)
    audited = audit(study)
    n = drawn().count()
    expected = len(range(0, n, 10)) / n
    assert audited.labelled == audited.drawn == n and audited.wrong.estimate == pytest.approx(expected)
    assert 0 <= audited.wrong.interval.low < expected < audited.wrong.interval.high < 0.4
    assert len(audited.items) == len(range(0, n, 10)) and not audited.simulated
    assert audited.claimed == pytest.approx(
        1 - sum(one.item.final_chance for one in drawn().select_related("item")) / n, abs=1e-6
    )
    assert audited.role.estimate == pytest.approx(expected)


def test_a_wrong_label_of_the_same_role_counts_as_right_for_the_rates(audited):
    study, _, _ = audited
    one = drawn().filter(item__final__key=N).select_related("item").first()
    builders.rate(one.item, builders.rater("ann", "human"), S)
    audited = audit(study)
    assert audited.wrong.estimate == 1 and audited.role.estimate == 0


def test_it_is_judged_by_the_label_it_was_accepted_with(audited):
    """After the audit's own label, a new settling may give the item another one."""
    study, true, _ = audited
    label_all(study, true, wrong=lambda number: number < 3)
    before = audit(study)
    settle(study, "unanimous")
    assert audit(study).wrong == before.wrong
    settle(study, "model", threshold=0.6)
    assert audit(study).wrong == before.wrong


def test_an_adjudicator_has_the_last_word(audited):
    study, true, _ = audited
    label_all(study, true, wrong=lambda number: number < 2)
    first = drawn().order_by("number").select_related("item__final").first()
    adjudicate(first.item, builders.rater("ada", "human"), first.item.final.key, "The rater erred.")
    settle_items(study, [first.item_id])
    audited = audit(study)
    assert audited.wrong.estimate == pytest.approx(1 / audited.labelled)
    assert [one.adjudicated for one in audited.items] == [False]


def test_raters_who_differ_decide_nothing(audited):
    study, _, _ = audited
    one = drawn().select_related("item").first()
    builders.rate(one.item, builders.rater("ann", "human"), C)
    builders.rate(one.item, builders.rater("ben", "human"), N)
    audited = audit(study)
    assert (audited.labelled, audited.undecided, audited.wrong) == (0, 1, None)


def test_strata_are_weighted_by_their_frames(audited):
    study, _, _ = audited
    settle(study, "majority", audit_share=1.0)  # of what the model left open too
    sizes = {
        name: DrawnItem.objects.filter(draw__name="audit", stratum=name).count()
        for name in ("version 1", "version 2")
    }
    assert all(sizes.values())
    for one in drawn().select_related("item__final"):
        key = one.item.final.key
        builders.rate(
            one.item, builders.rater("ann", "human"), OTHER[key] if one.stratum == "version 2" else key
        )
    assert audit(study).wrong.estimate == pytest.approx(sizes["version 2"] / sum(sizes.values()))


def test_simulated_labels_are_said_to_be(audited):
    study, _, _ = audited
    one = drawn().select_related("item").first()
    builders.rate(one.item, builders.rater("ann", "human"), C, simulated=True)
    assert audit(study).simulated


def test_a_change_of_mind_about_an_earlier_label_is_no_audit(audited):
    study, _, _ = audited
    item = drawn().first().item
    ann = builders.rater("ann", "human")
    builders.rate(item, ann, C)
    rewrite(Rating.objects.filter(rater=ann), created_at=timezone.now() - timezone.timedelta(days=9))
    builders.rate(item, ann, N)
    assert audit(study).labelled == 0


def test_a_draw_of_that_name_by_somebody_else_is_left_alone():
    study, _ = panel(tasks=4, epochs=4, share=0, slug="small")
    Draw.objects.create(study=study, name="audit", frame="every item", seed=1)
    with pytest.raises(UserError, match="another kind"):
        settle(study, audit_share=0.5)
