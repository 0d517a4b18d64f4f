"""Gold as a sample: which draw it came through, what each label stands for, and when that can't be said."""

import numpy as np
import pytest

from annotation.draws import ACCEPTED_FRAME, plan_draw
from annotation.goldlabels import promote
from annotation.humanplan import DrawSpec
from annotation.models import Assignment, Draw, Gold
from judging.models import GoldSplit
from judging.votes.goldsample import gold_sample
from tests import builders

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def gold(item, key="convergence", draw=None, origin="single", revision=1):
    label = item.study.scheme.labels.get(key=key)
    return Gold.objects.create(item=item, label=label, draw=draw, origin=origin, revision=revision)


def drawn(study, share, purpose=Draw.Purpose.GOLD, **plan):
    made = plan_draw(study, DrawSpec(share=share, **plan), name="golden", purpose=purpose)
    assert isinstance(made, Draw)
    return made


def test_no_gold():
    sample = gold_sample(builders.study())
    assert (
        len(sample) == 0 and sample.design.kind == "unknown" and "No item has gold" in sample.design.refusal
    )


def test_gold_on_every_item_is_a_census():
    study = builders.study()
    for item in study.items.all():
        gold(item)
    sample = gold_sample(study)
    assert sample.design.kind == "census" and not sample.design.refusal
    assert (sample.weight == 1).all() and sample.single.all()


def test_gold_through_no_draw_stands_for_nothing():
    study = builders.study()
    gold(study.items.first(), origin="imported")
    sample = gold_sample(study)
    assert sample.design.kind == "unknown" and "through no draw" in sample.design.refusal
    assert np.isnan(sample.weight).all()


def test_weights_are_items_over_labelled_of_the_stratum():
    study = builders.study(tasks=10, epochs=10)
    draw = drawn(study, None, by="category", probabilities={"Alpha": 0.6, "Beta": 0.2}, plan="strata")
    taken = list(draw.framed.drawn().order_by("number"))
    for one in taken:
        if one.stratum == "Alpha" or one.number < 0.1:
            gold(one.item, draw=draw)
    sample = gold_sample(study)
    sizes = {one.name: one for one in sample.design.strata}
    assert {name: one.items for name, one in sizes.items()} == {"Alpha": 50, "Beta": 50}
    assert sizes["Alpha"].drawn == sizes["Alpha"].labelled
    assert sample.design.waiting == sizes["Beta"].drawn - sizes["Beta"].labelled > 0
    assert sample.weight.sum() == pytest.approx(100)
    for name, one in sizes.items():
        assert set(sample.weight[sample.stratum == name]) == {50 / one.labelled}
        assert set(sample.probability[sample.stratum == name]) == {one.probability}


def test_gold_of_items_not_drawn_is_left_out_and_counted():
    study = builders.study(tasks=4, epochs=10)
    draw = drawn(study, 0.5)
    for one in draw.framed.all():
        gold(one.item, draw=draw if one.number < one.probability else None)
    sample = gold_sample(study, draw=draw)
    assert len(sample) == draw.framed.drawn().count()
    assert sample.design.outside == 40 - len(sample)


def test_a_stratum_without_gold_is_refused_by_name():
    study = builders.study(tasks=4, epochs=10)
    draw = drawn(study, None, by="category", probabilities={"default": 0.5}, plan="strata")
    for one in draw.framed.drawn().filter(stratum="Alpha"):
        gold(one.item, draw=draw)
    assert "'Beta'" in gold_sample(study).design.refusal


def test_consensus_alone_is_refused_and_with_adjudications_is_not():
    study = builders.study(tasks=4, epochs=2)
    builders.humans(study, per_item=2)
    draw = builders.draw(study, per_item=2)
    people = [builders.rater(name, "human") for name in ("ann", "ben")]
    for n, item in enumerate(study.items.order_by("pk")):
        builders.rate(item, people[0], "convergence")
        builders.rate(item, people[1], "convergence" if n else "no_convergence")
    for assignment in Assignment.objects.filter(study=study):
        assignment.rater, assignment.state = people[assignment.slot - 1], "done"
        assignment.save()
    promote(study, "consensus")
    sample = gold_sample(study)
    assert "easier or harder" in sample.design.refusal
    gold(study.items.order_by("pk").first(), draw=draw, origin="adjudicated")
    sample = gold_sample(study)
    assert not sample.design.refusal and len(sample) == 8
    assert not sample.single.any()


def test_the_sealed_part_is_by_task():
    study = builders.study(tasks=4, epochs=2)
    for item in study.items.all():
        gold(item)
    tasks = sorted(set(gold_sample(study).groups["task"].tolist()))
    GoldSplit.objects.create(study=study, parts={str(task): task == tasks[0] for task in tasks})
    sample = gold_sample(study)
    assert sample.sealed.tolist() == [task == tasks[0] for task in sample.groups["task"].tolist()]
    assert len(sample.part(~sample.sealed)) == 6


def test_votes_beside_the_gold():
    study = builders.study()
    first = study.items.order_by("pk").first()
    judge = builders.rater("judge-a")
    builders.rate(first, judge, "no_convergence")
    gold(first)
    sample = gold_sample(study)
    keys = [label.key for label in sample.labels]
    assert keys[sample.gold[0]] == "convergence" and keys[sample.votes[0, 0]] == "no_convergence"
    assert set(sample.groups) == {"task", "category", "subject", "condition"}


def test_withdrawn_gold_is_none_and_is_said():
    study = builders.study(tasks=4, epochs=10)
    draw = drawn(study, 0.9)
    taken = list(draw.framed.drawn())
    for one in taken:
        gold(one.item, draw=draw)
    gold(taken[0].item, draw=draw, origin="withdrawn", revision=2)
    sample = gold_sample(study)
    assert len(sample) == len(taken) - 1
    assert "1 drawn item has no gold because its experts differ" in sample.design.caution


def test_gold_through_an_audit_is_no_sample_of_the_study():
    """An audit's frame is what settling accepted, so its items say nothing of the others."""
    study = builders.study(tasks=4, epochs=10)
    audited = drawn(study, 0.5)
    Draw.objects.filter(pk=audited.pk).update(plan=ACCEPTED_FRAME)
    for one in audited.framed.drawn():
        gold(one.item, draw=audited)
    assert gold_sample(study).design.kind == "unknown" and gold_sample(study).design.refusal
