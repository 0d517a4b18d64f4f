"""The gold's two parts: stratified, by task, seeded, made once,
and the same as gold grows. Looks are counted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.core.errors import UserError
from judging.models import Reveal
from judging.votes.goldsample import gold_sample
from judging.votes.goldsplit import is_sealed, looks, number_of, reveal, seal, split_gold, split_of
from tests import builders
from tests.judging.calibrated import golden, judged

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=60),
    st.integers(0, 99),
    st.floats(0.1, 0.9),
)
def test_every_stratum_has_its_share(places, seed, share):
    """Within a task of it in each, and overall to the half."""
    tasks = [(category, has_gold, number) for number, (category, has_gold) in enumerate(places)]
    parts = seal(tasks, seed, share)
    assert set(parts) == set(range(len(tasks)))
    assert abs(sum(parts.values()) - share * len(tasks)) <= 0.5 + 1e-9
    for stratum in set(places):
        inside = [parts[number] for number, place in enumerate(places) if place == stratum]
        assert abs(sum(inside) - share * len(inside)) <= 1 + 1e-9
    assert parts == seal(reversed(tasks), seed, share)


def test_another_seed_is_another_split():
    tasks = [(0, True, number) for number in range(40)]
    assert seal(tasks, 1, 0.5) != seal(tasks, 2, 0.5)
    numbers = [number_of(1, task) for task in range(2000)]
    assert 0 <= min(numbers) < 0.01 and 0.99 < max(numbers) < 1
    assert sum(numbers) / 2000 == pytest.approx(0.5, abs=0.03)


def test_by_task_within_categories_and_stable_as_gold_grows(study):
    study = builders.study("wide", tasks=12, epochs=5)
    some = [item for item in study.items.select_related("response__task") if item.response.epoch == 1]
    golden(study, some)
    split = split_gold(study, seed=5)
    before = gold_sample(study)
    sealed_tasks = {int(task) for task, sealed in split.parts.items() if sealed}
    by_category = Counter(
        item.response.task.category_id for item in some if item.response.task_id in sealed_tasks
    )
    assert set(by_category.values()) == {3} and len(sealed_tasks) == 6
    golden(study, [item for item in study.items.all() if item not in some])
    after = gold_sample(study)
    now = dict(zip(after.items.tolist(), after.sealed.tolist(), strict=True))
    assert all(
        now[item] == sealed
        for item, sealed in zip(before.items.tolist(), before.sealed.tolist(), strict=True)
    )
    assert {
        task
        for task, sealed in zip(after.groups["task"].tolist(), after.sealed.tolist(), strict=True)
        if sealed
    } == sealed_tasks


def test_a_task_that_comes_later_has_a_part_of_its_own(study):
    split = split_gold(study, seed=5, share=0.3)
    parts = {task: is_sealed(split, task) for task in range(10_000, 11_000)}
    assert 0.25 < sum(parts.values()) / 1000 < 0.35
    assert parts == {task: is_sealed(split_of(study), task) for task in parts}


def test_it_is_split_once(study):
    split_gold(study)
    with pytest.raises(UserError, match="only once"):
        split_gold(study, seed=2)


@pytest.mark.parametrize("share", [0, 1, -0.5, 7])
def test_both_parts_hold_something(study, share):
    with pytest.raises(UserError, match="between 0 and 1"):
        split_gold(study, share=share)
    lone = builders.study("lone", tasks=1)
    with pytest.raises(UserError, match="too few tasks"):
        split_gold(lone)


def test_looks_are_counted(study, cast):
    first, second = judged(study), judged(study, "judge-b")
    with pytest.raises(UserError, match="not split"):
        reveal(study, first, "why")
    split_gold(study)
    with pytest.raises(UserError, match="Say why"):
        reveal(study, first, "  ")
    assert looks(study).total == 0
    reveal(study, first, "before the report", cast["owner"])
    reveal(study, first, "again")
    reveal(study, second, "the other too")
    assert looks(study).total == 3 and looks(study).raters == {first.pk, second.pk}
    assert Reveal.objects.first().by == cast["owner"]
