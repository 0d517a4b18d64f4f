"""The items browser: every filter, alone and together, a search that goes on, the same on both databases."""

import pytest

from annotation.models import Gold, Item
from arbiter.studies.reading import browsing
from arbiter.studies.reading.browsing import ItemFilters, filter_choices, item_page, search_items
from judging.settlement.settling import settle
from tests import builders

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def busy(study, cast):
    """Make six items, with two raters and two judges on some of them."""
    ann, ben = builders.human(cast["ann"]), builders.human(cast["ben"])
    one, two = builders.rater("judge-a"), builders.rater("judge-b")
    first, second, third, fourth, *_ = study.items.order_by("pk")
    builders.draw(
        study,
        strata=[
            {"name": "a", "where": {"categories": ["Alpha"]}, "probability": 1},
            {"name": "b", "probability": 1},
        ],
    )
    for serving_of in (ann, ben):
        builders.rate(first, serving_of)
        builders.rate(second, serving_of, "convergence" if serving_of == ann else "no_convergence")
    for judge in (one, two):
        builders.rate(first, judge, "no_convergence")
        builders.rate(third, judge, "convergence" if judge == one else "no_convergence")
    builders.rate(fourth, one, "nonsensical")
    settle(study)
    return study


def places(study, **asked):
    """Return the places, in the study's order, of the items that match."""
    keys = search_items(study, ItemFilters(**asked)).keys
    order = list(study.items.order_by("pk").values_list("pk", flat=True))
    return [order.index(key) + 1 for key in keys]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"category": "Beta"}, [4, 5, 6]),
        ({"stratum": "a"}, [1, 2, 3]),
        ({"model": "model-a"}, [1, 2, 3, 4, 5, 6]),
        ({"model": "model-b"}, []),
        ({"condition": "baseline", "category": "Alpha"}, [1, 2, 3]),
        ({"split": "humans"}, [2]),
        ({"split": "judges"}, [3]),
        ({"split": "between"}, [1]),
        ({"status": "unlabelled"}, [3, 4, 5, 6]),
        ({"status": "disputed"}, [1, 2, 3]),
        ({"status": "settled"}, [4]),
        ({"status": "adjudicated"}, []),
        ({"status": "nonsense"}, []),
        ({"label": "final:nonsensical"}, [4]),
        ({"label": "any:convergence"}, [1, 2, 3]),
        ({"label": "any:no_convergence", "split": "judges"}, [3]),
        ({"label": "any:nothing"}, []),
        ({"control": "only"}, []),
        ({"control": "without", "split": "humans"}, [2]),
        ({"q": "TASK 2: keep"}, [4, 5, 6]),
        ({"q": "epoch 1."}, [1, 4]),
        ({"q": "100%_nothing"}, []),
    ],
)
def test_each_filter_finds_its_items(busy, asked, expected):
    assert places(busy, **asked) == expected


def test_work_on_an_item_shows_in_its_status(study, cast):
    builders.draw(study, per_item=2)
    ann, ben = builders.human(cast["ann"]), builders.human(cast["ben"])
    serving = builders.take(study, ann)
    item = serving.item
    assert search_items(study, ItemFilters(status="in-work")).keys == [item.pk]
    builders.label(serving)
    assert search_items(study, ItemFilters(status="in-work")).keys == [item.pk]
    Item.objects.filter(pk=item.pk).update(key="0" * 12)
    for _ in range(6):
        other = builders.take(study, ben)
        if other:
            builders.label(other)
    assert search_items(study, ItemFilters(status="labelled")).keys == [item.pk]


def test_items_with_gold_are_found_and_marked(busy):
    item = busy.items.order_by("pk")[4]
    Gold.objects.create(item=item, label=busy.scheme.labels.first(), origin="imported")
    assert places(busy, status="gold") == [5]
    assert [row.golden for row in item_page(busy, ItemFilters()).rows] == [False] * 4 + [True, False]


def test_words_are_found_in_upper_and_lower_case_whatever_the_alphabet(study):
    first, second, third, *_ = study.items.select_related("response").order_by("pk")
    for item, text in ((first, "ÜBER dem Fluss"), (second, "über 100% _und_ mehr"), (third, "uber")):
        type(item.response).objects.filter(pk=item.response_id).update(text=text)
    assert places(study, q="Über") == [1, 2]
    assert places(study, q="100% _") == [2]
    assert places(study, q=third.key[2:9].upper()) == [3]


def test_a_search_whose_time_is_up_goes_on_where_it_was(busy, monkeypatch):
    monkeypatch.setattr(browsing, "SEARCH_SECONDS", 0)
    monkeypatch.setattr(browsing, "FIRST_RANGE", 8)
    keys, after, looks = [], 0, 0
    while True:
        one = search_items(busy, ItemFilters(q="epoch 1."), after=after)
        keys, after, looks = keys + one.keys, one.searched_to, looks + 1
        if one.ended:
            break
    first, fourth = busy.items.order_by("pk")[0], busy.items.order_by("pk")[3]
    assert looks > 2 and keys == [first.pk, fourth.pk]


def test_pages_follow_one_another_without_gap_or_repeat(busy, monkeypatch):
    monkeypatch.setattr(browsing, "PAGE", 4)
    first = item_page(busy, ItemFilters(), room=4)
    second = item_page(busy, ItemFilters(), after=first.following, room=4)
    assert [row.pk for row in [*first.rows, *second.rows]] == list(
        busy.items.order_by("pk").values_list("pk", flat=True)
    )
    assert second.following is None and second.search.ended


def test_a_count_is_shown_where_the_look_told_it(busy):
    assert item_page(busy, ItemFilters(split="humans")).counted == 1
    assert item_page(busy, ItemFilters(), after=busy.items.first().pk).counted is None


def test_the_filters_offer_what_the_study_has(busy):
    builders.study("other")
    offered = filter_choices(busy)
    assert (offered.models, offered.conditions, offered.categories, offered.strata) == (
        ["model-a"],
        ["baseline"],
        ["Alpha", "Beta"],
        ["a", "b"],
    )


def test_the_page_continues_a_search_by_itself_and_by_a_link(client, busy, cast, monkeypatch):
    monkeypatch.setattr(browsing, "SEARCH_SECONDS", 0)
    monkeypatch.setattr(browsing, "FIRST_RANGE", 8)
    client.force_login(cast["viewer"])
    whole = client.get("/studies/tiny/items/?q=epoch+1.").content.decode()
    assert 'hx-trigger="load delay:20ms"' in whole and "Searched 2 of 6" in whole and "Search on" in whole
    after, room = browsing.item_page(busy, ItemFilters(q="epoch 1.")).on.split("after=")[1].split("&room=")
    part = client.get(
        f"/studies/tiny/items/?q=epoch+1.&after={after}&room={room}", headers={"HX-Request": "true"}
    ).content.decode()
    assert "<html" not in part and "Searched 4 of 6" in part


def test_an_address_keeps_its_filters(client, busy, cast):
    client.force_login(cast["viewer"])
    text = client.get("/studies/tiny/items/?split=humans&q=epoch").content.decode()
    assert 'value="epoch"' in text and '<option value="humans" selected>' in text
