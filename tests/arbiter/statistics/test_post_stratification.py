"""Post-stratified rates: by hand, against published numbers, and their coverage in a few made-up worlds."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from arbiter.statistics import (
    ArmGold,
    Undefined,
    gold_rate,
    merged_strata,
    post_stratified,
    post_stratified_all,
    wilson,
)
from tests.sizes import size
from tests.studies.coverage import Cell, cells
from tests.studies.worlds import World


def arm(items, target, other, excluded=None, tasks=None):
    """Return an arm by its counts by stratum, one task an item unless said otherwise."""
    items, target, other = (np.asarray(values, dtype=float) for values in (items, target, other))
    excluded = np.zeros_like(items) if excluded is None else np.asarray(excluded, dtype=float)
    table, gold = [], []
    for stratum, count in enumerate(items.astype(int)):
        roles = [0] * int(target[stratum]) + [1] * int(other[stratum]) + [2] * int(excluded[stratum])
        for place in range(count):
            row, labels = np.zeros(len(items)), np.zeros((len(items), 3))
            row[stratum] = 1
            if place < len(roles):
                labels[stratum, roles[place]] = 1
            table.append(row)
            gold.append(labels)
    return np.array(table), ArmGold.unweighted(np.array(gold))


def test_each_stratum_counts_as_often_as_its_votes_occur():
    rate = post_stratified(*arm([70, 20, 10], [0, 3, 9], [20, 7, 1]))
    assert rate.estimate == pytest.approx(0.7 * 0 + 0.2 * 0.3 + 0.1 * 0.9)
    assert (rate.n, rate.gold, rate.strata, rate.design_effect) == (100, 40, ((0,), (1,), (2,)), 1.0)
    assert 0 <= rate.low < rate.estimate < rate.high <= 1


def test_the_interval_is_the_root_of_the_squared_distances():
    rate = post_stratified(*arm([50, 50], [2, 8], [8, 2]))
    low = [beta.ppf(0.025, y + 0.4, 10 - y + 0.4) for y in (2, 8)]
    between = 1.959963985**2 * (0.5 * 0.3**2 + 0.5 * 0.3**2) / 100
    below = 0.25 * (0.2 - low[0]) ** 2 + 0.25 * (0.8 - low[1]) ** 2
    assert rate.low == pytest.approx(0.5 - np.sqrt(below + between), abs=1e-6)


def test_begg_and_greenes_rates_come_out(shared):
    """Verified and unverified livers (Begg & Greenes 1983): disease by post-stratification on the scan."""
    data = json.loads((shared / "reference" / "rogan_gladen_verification_bias.json").read_text())
    table = data["begg_greenes_hepatic"]
    negative = table["T0_D1"] + table["T0_D0"] + table["T0_unverified"]
    positive = table["T1_D1"] + table["T1_D0"] + table["T1_unverified"]
    items = [negative, positive]
    sick, well = [table["T0_D1"], table["T1_D1"]], [table["T0_D0"], table["T1_D0"]]
    rate = post_stratified(*arm(items, sick, well)).estimate
    share = positive / (positive + negative)
    sick_positive = share * table["T1_D1"] / (table["T1_D1"] + table["T1_D0"])
    well_negative = (1 - share) * table["T0_D0"] / (table["T0_D1"] + table["T0_D0"])
    assert sick_positive / rate == pytest.approx(table["expected"]["BG_sens"], abs=5e-4)
    assert well_negative / (1 - rate) == pytest.approx(table["expected"]["BG_spec"], abs=5e-4)


def test_thin_strata_are_merged_with_neighbours_and_keep_their_shares():
    # 45 gold items: a quarter of them makes a stratum; of 24 too, but never fewer than 5; of 120, 15.
    assert merged_strata([30, 4, 3, 8]).tolist() == [1, 0, 0, 0]
    assert merged_strata([5, 4, 3, 8]).tolist() == [2, 1, 1, 0]
    assert merged_strata([2, 9, 7]).tolist() == [1, 1, 0]
    assert merged_strata([1, 1]).tolist() == [0, 0]
    assert merged_strata([[5, 5], [9, 0]]).tolist() == [[1, 0], [0, 0]]
    assert merged_strata([60, 15, 14, 1, 30]).tolist() == [3, 2, 1, 1, 0]
    # One of two gold items with a vote is convergent, all of those with two are: each by its share of the
    # items.
    rate = post_stratified(*arm([50, 30, 20], [0, 1, 3], [10, 1, 0]))
    assert rate.strata == ((0,), (1, 2))
    assert rate.estimate == pytest.approx(0.3 * 0.5 + 0.2 * 1)


@settings(max_examples=size(20, 60), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 60), min_size=1, max_size=9))
def test_merging_leaves_every_stratum_enough_and_neighbours_together(gold):
    groups = merged_strata(gold)
    sizes = np.bincount(groups, weights=gold)
    assert (np.diff(groups) <= 0).all()
    assert sum(gold) < 5 or (sizes >= min(15, max(5, sum(gold) / 4))).all()
    assert len(sizes) <= max(4, sum(gold) / 15)


def test_weights_that_differ_within_a_stratum():
    """Twenty items of weight 1 and ten of weight 4: as Kish's effective number."""
    table, gold = arm([60, 40], [6, 12], [24, 3])
    weights = gold.counts.copy()
    weights[5:15] *= 4
    rate = post_stratified(
        table, ArmGold(gold.counts, weights, weights * (weights > 0) * np.where(weights > 1, 4, 1))
    )
    first = weights[:60, 0]
    assert rate.estimate == pytest.approx(0.6 * first[:, 0].sum() / first.sum() + 0.4 * 12 / 15)
    assert rate.low < post_stratified(table, gold).estimate


def test_valid_only_is_a_ratio_and_equals_all_where_nothing_is_excluded():
    with_excluded = post_stratified(*arm([60, 40], [4, 12], [12, 2], [4, 6]), valid=True)
    targets, valid = 0.6 * 4 / 20 + 0.4 * 12 / 20, 0.6 * 16 / 20 + 0.4 * 14 / 20
    assert with_excluded.estimate == pytest.approx(targets / valid)
    assert with_excluded.low < with_excluded.estimate < with_excluded.high
    plain = arm([60, 40], [4, 12], [16, 8])
    assert post_stratified(*plain, valid=True).estimate == pytest.approx(post_stratified(*plain).estimate)


def test_a_census_of_these_items_leaves_nothing_to_chance():
    table, gold = arm([10, 20], [1, 15], [9, 5])
    rate = post_stratified(table, gold, finite=True)
    assert rate.low == pytest.approx(rate.estimate) == pytest.approx(rate.high)
    assert rate.estimate == pytest.approx(16 / 30)
    wider = post_stratified(table, gold)
    assert wider.low < rate.estimate < wider.high


def test_a_part_that_is_labelled_wholly_leaves_the_rest_as_unknown_as_it_was():
    """One stratum of votes: 40 items all labelled, and 10 of 100 others. A third has gold, but what is open
    is nine tenths."""
    table, gold = arm([140], [25], [25])
    weights = np.where(np.arange(140) < 40, 1.0, 10.0)[:, None, None] * gold.counts
    parts = ArmGold(gold.counts, weights, weights**2 * (gold.counts > 0))
    these, tasks = post_stratified(table, parts, finite=True), post_stratified(table, parts)
    open_part = 1 - 140 / (40 * 1 + 10 * 100)  # 1 - sum(w) / sum(w^2)
    reach = (tasks.high - tasks.estimate) ** 2  # of one stratum, whose share of the votes is known
    assert (these.high - these.estimate) ** 2 == pytest.approx(open_part * reach, rel=1e-6)
    alone, plain = gold_rate(140, parts, finite=True), gold_rate(140, parts)
    size = 140**2 / 1040
    at = wilson(size * plain.estimate / open_part, size / open_part)
    assert (alone.low, alone.high) == pytest.approx((at.low, at.high))


def test_copies_of_a_task_widen_the_interval():
    table, gold = arm([40, 40], [4, 16], [16, 4])
    by_task = [np.arange(80) // 4]
    grouped = np.zeros((20, 2)), np.zeros((20, 2, 3))
    np.add.at(grouped[0], by_task, table)
    np.add.at(grouped[1], by_task, gold.counts)
    rate, single = post_stratified(grouped[0], ArmGold.unweighted(grouped[1])), post_stratified(table, gold)
    assert rate.estimate == pytest.approx(single.estimate)
    assert rate.design_effect > 1.5
    assert rate.high - rate.low > 1.2 * (single.high - single.low)


def test_nothing_to_go_by_is_undefined():
    with pytest.raises(Undefined, match="the arm has 4 gold items; 5 are needed at least"):
        post_stratified(*arm([20, 20], [1, 1], [1, 1]))
    with pytest.raises(Undefined, match="no items"):
        post_stratified(np.zeros((1, 2)), ArmGold.unweighted([[[9.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]))
    with pytest.raises(Undefined, match="all of the arm's gold is excluded"):
        post_stratified(*arm([20], [0], [0], [6]), valid=True)
    with pytest.raises(ValueError, match="weights must be known"):
        table, gold = arm([20], [3], [3])
        post_stratified(table, ArmGold(gold.counts, gold.weights * np.nan, gold.squares))
    with pytest.raises(ValueError, match="more gold"):
        post_stratified([[1.0]], ArmGold.unweighted([[[6, 0, 0]]]))


def test_repetitions_at_once_are_each_by_itself():
    one, two = arm([30, 30], [1, 9], [9, 6]), arm([40, 20], [0, 6], [12, 2])
    table = np.stack([one[0], two[0]])
    gold = ArmGold.unweighted(np.stack([one[1].counts, two[1].counts]))
    together = post_stratified_all(table, gold)
    for place, single in enumerate((one, two)):
        alone = post_stratified(*single)
        assert (together.low[place], together.high[place]) == pytest.approx((alone.low, alone.high))


# Gold alone


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (3, 40), (40, 40)])
def test_gold_of_one_weight_and_one_a_task_has_nearly_wilsons_interval(hits, n):
    rate = gold_rate(200, arm([200], [hits], [n - hits])[1])
    expected = wilson(hits, n)
    assert (rate.estimate, rate.gold) == (hits / n, n)
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=0.006)
    scipy = binomtest(hits, n).proportion_ci(method="wilson")
    assert (rate.low, rate.high) == pytest.approx((scipy.low, scipy.high), abs=0.006)


def test_gold_counts_for_what_it_stands_for():
    gold = arm([40], [5], [15])[1]
    weights = gold.counts.copy()
    weights[:5] *= 3
    rate = gold_rate(40, ArmGold(gold.counts, weights, weights**2))
    assert rate.estimate == pytest.approx(15 / 30)
    assert rate.high - rate.low > wilson(10, 20).high - wilson(10, 20).low - 1e-9
    with pytest.raises(Undefined, match="there is no gold"):
        gold_rate(40, ArmGold.unweighted(np.zeros((3, 1, 3))))


# Coverage


@pytest.fixture(scope="module")
def measured() -> list[Cell]:
    worlds = [World(0.05, False, True), World(0.2, True, False), World(0.8, True, True)]
    return [cell for world in worlds for cell in cells(world, 400, seed=20, gold=(50, 200))]


def test_intervals_cover_what_they_say(measured):
    """Four standard errors of 400 repetitions; `make coverage-study` has the rest."""
    slack = 4 * np.sqrt(0.05 * 0.95 / 400)
    for cell in measured:
        assert cell.corrected >= 0.93 - slack, cell
        assert cell.gold_only >= 0.93 - slack, cell
        assert cell.finite >= 0.93 - slack, cell
    assert 0.93 <= np.mean([cell.corrected for cell in measured]) <= 0.985


def test_they_are_narrower_than_those_from_gold_alone(measured):
    assert all(cell.corrected_width < cell.gold_only_width for cell in measured)
