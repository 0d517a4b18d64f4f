"""Two versions side by side: what changed, for better or worse, and whether that is more than chance."""

import pytest

from annotation.models import Rater
from arbiter.analysis.calibration.comparison import compare_judges
from arbiter.core.errors import UserError
from judging.votes.goldsplit import reveal, split_gold
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.calibrated import golden, judged, labels, off, truth_of
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    return builders.study(tasks=8, epochs=10)


def second_version(study, said):
    rater = Rater.objects.create(name="judge-a", version=2, kind="judge", definition="next")
    labels(study, rater, said)
    return rater


def test_what_changed(study):
    """One that was right is wrong; those that were wrong on every seventh item are right; two have no
    verdict."""
    golden(study)
    first = judged(study, by=7)
    items = list(study.items.order_by("pk"))
    right = next(item for item in items if off(item, 7) == truth_of(item) == "convergence")
    lost = [item for item in items if item != right][-2:]

    def said(item):
        if item in lost:
            return None
        return "safety_refusal" if item == right else truth_of(item)

    second = second_version(study, said)
    comparison = compare_judges(study, first, second)
    wrong = [item for item in items if off(item, 7) != truth_of(item) and item not in lost]
    assert comparison.counts == {"worse": 1, "better": len(wrong), "sideways": 0, "lost": 2, "gained": 0}
    assert (comparison.items, comparison.both, comparison.same) == (80, 78, 78 - 1 - len(wrong))
    assert comparison.changes[0].kind == "worse" and comparison.changes[0].item == right.key
    assert {one.item for one in comparison.changes if one.kind == "better"} == {item.key for item in wrong}
    assert comparison.difference.value == pytest.approx((len(wrong) - 1) / 78)
    assert comparison.difference.low < comparison.difference.value < comparison.difference.high
    assert comparison.right_second.estimate == pytest.approx(77 / 78)
    assert comparison.p == pytest.approx(2 * (1 + (len(wrong) + 1)) / 2 ** (len(wrong) + 1))
    back = compare_judges(study, second, first)
    assert back.counts["better"] == 1 and back.counts["gained"] == 2 and back.p == comparison.p


def test_nothing_changed(study):
    golden(study)
    first = judged(study)
    comparison = compare_judges(study, first, second_version(study, lambda item: off(item, 7)))
    assert comparison.p == 1 and not comparison.changes and comparison.difference.value == 0


def test_nothing_in_common(study):
    golden(study)
    half = list(study.items.order_by("pk")[:40])
    first = builders.rater("judge-a")
    labels(study, first, lambda item: truth_of(item) if item in half else None)
    comparison = compare_judges(
        study, first, second_version(study, lambda item: None if item in half else truth_of(item))
    )
    assert (
        comparison.both == 0
        and comparison.difference.value is None
        and comparison.right_first.estimate is None
    )


def test_the_sealed_part_needs_a_look_at_each(study):
    golden(study)
    first, second = judged(study), second_version(study, truth_of)
    split_gold(study, seed=1)
    assert compare_judges(study, first, second).part == "tuning"
    assert compare_judges(study, first, second).items == 40
    reveal(study, second, "it is final")
    with pytest.raises(UserError, match="look at each"):
        compare_judges(study, first, second, "sealed")
    with pytest.raises(UserError, match="no part 'all'"):
        compare_judges(study, first, second, "all")
    reveal(study, first, "to compare")
    assert compare_judges(study, first, second, "sealed").items == 40


def test_the_command_compares(study):
    golden(study)
    judged(study)
    second_version(study, truth_of)
    told = as_json("calibrate", "tiny", "--compare", "judge-a@1", "judge-a@2")
    assert (told["first"], told["second"], told["part"]) == ("judge-a", "judge-a@2", "all")
    assert told["counts"]["better"] == len(told["changes"]) > 0
    assert set(told["changes"][0]) == {"kind", "item", "category", "gold", "before", "after"}
    assert "two versions" in refusal("calibrate", "tiny", "--compare", "judge-a", "judge-a@2")
    assert "nobody" not in refusal("calibrate", "tiny", "--compare", "judge-a", "judge-z")


def test_what_was_not_asked_is_no_change(study):
    golden(study)
    first = judged(study)
    mine = judge(study, endpoint(), "judge-b")
    items = list(study.items.order_by("pk"))
    for item in items[:30]:
        verdict(mine, item, "done", rated={"label": truth_of(item)})
    verdict(mine, items[30], "refused")
    verdict(mine, items[31])
    comparison = compare_judges(study, first, mine.judge.rater)
    assert (comparison.counts["lost"], comparison.unasked, comparison.both) == (1, 49, 30)
    assert [one.item for one in comparison.changes if one.kind == "lost"] == [items[30].key]
