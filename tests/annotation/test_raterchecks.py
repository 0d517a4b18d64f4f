"""Hidden checks: at the asked rates, never a slot or a vote, never the same twice, never to be told from
other items."""

import json
from collections import Counter

import pytest

from annotation.models import Assignment, Enrolment, Gold, PlacePurpose, Rating, Serving, Study
from annotation.raterchecks import is_due
from annotation.raterprogress import COUNT_AGAIN, progress
from annotation.routing import release, serve, skip
from arbiter.core.text import digest
from tests import builders
from tests.builders import desk, label, take
from tests.databases import rewrite
from tests.sizes import size
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
CHECKS = (PlacePurpose.GOLD_CHECK, PlacePurpose.REPEAT)


def rater(name="ann"):
    return builders.rater(name, "human")


def checked(*, items=60, golden=20, **checks):
    """Make a study whose items need one rater each, but for `golden` ones that nobody is asked about and that
    have gold."""
    study = builders.study("checked", tasks=4, epochs=(items + golden) // 4)
    builders.humans(study, per_item=1, checks=checks)
    builders.draw(study, per_item=1, seed=3)
    first = study.scheme.labels.first()
    for item in study.items.order_by("response__epoch", "pk")[
        :golden
    ]:  # not by key: checks are looked for by it
        item.assignments.all().delete()
        Gold.objects.create(item=item, label=first, origin="imported")
    return study


def drain(study, by, ahead=1):
    """Label all there is; the servings in the order they came."""
    done = []
    while held := serve(desk(study, by), ahead):
        label(held[0])
        done.append(held[0])
    return done


def purposes(servings):
    return Counter(str(serving.purpose) for serving in servings)


# How many


@pytest.mark.sized
@pytest.mark.parametrize(("gold", "repeats"), [(0.15, 0.1), (0.3, 0), (0, 0.25), (0, 0)])
def test_checks_come_at_about_the_asked_rates(gold, repeats):
    items = size(64, 240)
    study = checked(items=items, golden=items // 2, gold=gold, repeats=repeats, repeat_after=5)
    served = purposes(drain(study, rater()))
    total = sum(served.values())
    assert served["slot"] == items
    for purpose, rate in [("gold_check", gold), ("repeat", repeats)]:
        spread = 3 * (total * rate * (1 - rate)) ** 0.5
        assert abs(served[purpose] - total * rate) <= spread + 2, served


def test_which_of_their_items_are_checks_differs_from_rater_to_rater():
    study = checked(items=60, gold=0.3)
    purposes = [
        [one.purpose for one in serve(desk(study, rater(name)), 6)] for name in ("ann", "ben", "cat", "dan")
    ]
    assert len(set(map(tuple, purposes))) > 1


@pytest.mark.parametrize("name", ["ann", "ben", "cat", "dan"])  # whose checks lie elsewhere
def test_which_are_checks_is_the_same_however_many_are_given_at_once(name):
    study = checked(items=60, gold=0.4)
    by = rater(name)
    at_once = [one.purpose for one in serve(desk(study, by), 5)]
    Serving.objects.filter(rater=by).delete()
    Assignment.objects.filter(rater=by, slot=None).delete()
    Assignment.objects.filter(rater=by).update(rater=None, state="open", leased_until=None)
    Enrolment.objects.filter(rater=by).update(served=0, position=0)
    one_by_one = [serve(desk(study, by), want)[-1].purpose for want in range(1, 6)]
    assert at_once == one_by_one


def test_with_nothing_to_check_the_slots_come_all_the_same():
    study = checked(items=40, golden=0, gold=0.5, repeats=0.5, repeat_after=1000)
    assert purposes(drain(study, rater())) == {"slot": 40}


def test_no_check_comes_where_no_slot_is_left():
    study = checked(items=0, golden=20, gold=0.5)
    assert serve(desk(study, rater()), 6) == []


# Never slots, never votes


def test_checks_fill_no_slots_and_are_no_votes():
    study = checked(items=60, golden=20, gold=0.2, repeats=0.2, repeat_after=3)
    served = drain(study, rater())
    assert sum(purposes(served)[purpose] for purpose in CHECKS) > 10
    slots = Assignment.objects.filter(slot__isnull=False)
    assert slots.count() == slots.filter(state="done").count() == 60
    assert Rating.objects.votes().count() == 60
    assert set(study.items.filter(golds=None).values_list("human_votes", flat=True)) == {1}
    assert set(study.items.exclude(golds=None).values_list("human_votes", "votes")) == {(0, "")}
    assert not Assignment.objects.filter(purpose__in=CHECKS, slot__isnull=False).exists()
    assert not Rating.objects.filter(surplus=True).exists()


def test_a_repeat_that_differs_changes_no_vote_and_asks_for_no_more_raters():
    study = checked(items=20, golden=0, repeats=0.5, repeat_after=1)
    builders.humans(study, per_item=1, extra_when_split=2, checks={"repeats": 0.5, "repeat_after": 1})
    while given := take(study, rater()):
        label(given, "nonsensical" if given.purpose == PlacePurpose.REPEAT else "convergence")
    assert Rating.objects.filter(purpose=PlacePurpose.REPEAT, label__key="nonsensical").exists()
    assert not study.items.filter(humans_split=True).exists()
    assert Assignment.objects.filter(slot__isnull=False).count() == 20
    assert set(Rating.objects.votes().values_list("label__key", flat=True)) == {"convergence"}


# Never the same, never one's own


@pytest.mark.engine
def test_no_check_comes_twice():
    study = checked(items=60, golden=10, gold=0.3, repeats=0.3, repeat_after=1)
    served = drain(study, rater())
    places = [(serving.item_id, serving.purpose) for serving in served]
    assert len(places) == len(set(places))
    of_gold = {item for item, purpose in places if purpose == PlacePurpose.GOLD_CHECK}
    assert of_gold == set(study.items.exclude(golds=None).values_list("pk", flat=True))
    repeated = {item for item, purpose in places if purpose == PlacePurpose.REPEAT}
    assert repeated <= {item for item, purpose in places if purpose == PlacePurpose.SLOT}


def gold_checks(study, by):
    return {one.item_id for one in drain(study, by) if one.purpose == PlacePurpose.GOLD_CHECK}


@pytest.mark.engine
@pytest.mark.parametrize("later", [False, True])
def test_nobody_is_checked_with_gold_they_wrote_even_where_another_followed_it(later):
    study = checked(items=60, golden=4, gold=0.4)
    own = Gold.objects.order_by("pk").first()
    rewrite(Gold.objects.filter(pk=own.pk), author=rater(), origin="single")
    if later:
        Gold.objects.create(item=own.item, label=own.label, revision=2, origin="imported")
    assert len(checks := gold_checks(study, rater())) == 3 and own.item_id not in checks


@pytest.mark.engine
@pytest.mark.parametrize("why", ["slot", "gold", "training"])
def test_nobody_is_checked_with_what_they_labelled_before(why):
    study = checked(items=60, golden=4, gold=0.4)
    item = Gold.objects.first().item
    builders.rate(item, rater(), purpose=why)
    assert item.pk not in gold_checks(study, rater())


@pytest.mark.engine
def test_nobody_is_checked_with_what_others_are_still_to_label():
    study = checked(items=60, golden=4, gold=0.4)
    item = study.items.filter(golds=None).order_by("assignments__number").last()
    Gold.objects.create(item=item, label=study.scheme.labels.first(), origin="imported")
    while given := take(study, rater()):
        open_now = Assignment.objects.filter(item=given.item, purpose="slot").exclude(state="done")
        assert given.purpose == PlacePurpose.SLOT or not open_now.exists()
        label(given)


def test_withdrawn_gold_checks_nobody():
    study = checked(items=60, golden=4, gold=0.4)
    gone = Gold.objects.first()
    Gold.objects.create(item=gone.item, label=gone.label, revision=2, origin="withdrawn")
    assert len(checks := gold_checks(study, rater())) == 3 and gone.item_id not in checks


def test_gold_of_another_study_checks_nobody():
    study = checked(items=20, golden=0, gold=0.5)
    other = builders.study("other")
    Gold.objects.create(item=other.items.first(), label=other.scheme.labels.first(), origin="imported")
    assert gold_checks(study, rater()) == set()


def test_a_restricted_rater_is_checked_with_what_they_may_be_given():
    study = checked(items=80, golden=20, gold=0.4)
    desk(study, rater())
    Enrolment.objects.update(categories=["beta"])
    items = study.items.filter(pk__in=gold_checks(study, rater()))
    assert items and set(items.values_list("response__task__category__key", flat=True)) == {"beta"}
    desk(study, rater("ben"))
    Enrolment.objects.filter(rater=rater("ben")).update(languages=["de"])
    assert gold_checks(study, rater("ben")) == set()


def test_experts_are_not_checked():
    study = checked(items=20, golden=10, gold=0.5)
    Assignment.objects.update(purpose=PlacePurpose.GOLD)
    given = serve(desk(study, rater(), PlacePurpose.GOLD), 6)
    assert {serving.purpose for serving in given} == {PlacePurpose.GOLD}


@pytest.mark.engine
def test_raters_get_different_gold_first():
    study = checked(items=40, golden=40, gold=0.5)
    first = {}
    for name in ("ann", "ben", "cat", "dan"):
        given = serve(desk(study, rater(name)), 6)
        first[name] = next((one.item_id for one in given if one.purpose == PlacePurpose.GOLD_CHECK), None)
    assert len(set(first.values())) > 1


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_several_windows_are_not_given_one_check_twice():
    study = checked(items=40, golden=3, gold=0.5, repeats=0.3, repeat_after=1)
    by = rater()
    desk(study, by)
    for _ in range(4):
        expect_no_errors(together(*[lambda: serve(desk(study, by), 6)] * 4))
        for serving in Serving.objects.filter(answered_at=None):
            label(serving)
    places = Assignment.objects.filter(rater=by).values_list("item", "purpose", "ordinal")
    assert len(places) == len(set(places)) == Serving.objects.count()


# Repeats


@pytest.mark.parametrize("ahead", [1, 6])
@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_repeat_comes_so_many_items_later_at_least(after, ahead):
    study = checked(items=50, golden=0, repeats=0.4, repeat_after=after)
    order = drain(study, rater(), ahead)
    at = {serving.item_id: n for n, serving in enumerate(order) if serving.purpose == PlacePurpose.SLOT}
    gaps = [n - at[one.item_id] for n, one in enumerate(order) if one.purpose == PlacePurpose.REPEAT]
    assert gaps and min(gaps) >= after


def test_a_label_changed_just_now_is_not_asked_again_at_once():
    study = checked(items=40, golden=0, repeats=0.5, repeat_after=10)
    first = take(study, rater())
    label(first)
    for n in range(25):
        given = take(study, rater())
        assert given.item_id != first.item_id, n
        label(given)
        label(first, "nonsensical")  # reopened each time


def test_what_was_skipped_is_not_asked_again():
    study = checked(items=40, golden=0, repeats=0.5, repeat_after=1)
    first = take(study, rater())
    skip(first, "Not mine.")
    assert first.item_id not in {serving.item_id for serving in drain(study, rater())}


# Given back, skipped, late


def a_check(study, by, purpose=PlacePurpose.GOLD_CHECK):
    while (given := take(study, by)).purpose != purpose:
        label(given)
    return given


@pytest.mark.parametrize("purpose", CHECKS)
@pytest.mark.parametrize("how", ["skipped", "released"])
def test_a_check_that_is_given_back_does_not_come_again(purpose, how):
    study = checked_once()
    given = a_check(study, rater(), purpose)
    if how == "skipped":
        skip(given, "No.")
    else:
        release(study, rater())
    assert not Assignment.objects.filter(purpose=purpose, item=given.item).exists()
    rest = {(one.item_id, one.purpose) for one in drain(study, rater())}
    assert (given.item_id, purpose) not in rest
    assert Assignment.objects.filter(slot__isnull=False).exclude(state="done").count() == 0


def checked_once():
    """Make a small study with many checks of both kinds."""
    study = builders.study("once", tasks=2, epochs=20)
    builders.humans(study, checks={"gold": 0.3, "repeats": 0.3, "repeat_after": 2})
    builders.draw(study, per_item=1, seed=1)
    for item in study.items.order_by("key")[:6]:
        item.assignments.all().delete()
        Gold.objects.create(item=item, label=study.scheme.labels.first(), origin="imported")
    return study


@pytest.mark.parametrize("purpose", CHECKS)
def test_a_check_that_comes_late_is_kept_as_a_check(purpose):
    study = checked_once()
    given = a_check(study, rater(), purpose)
    release(study, rater())
    rating = label(given, "nonsensical")
    assert (rating.purpose, rating.surplus, rating.revision) == (purpose, False, 1)


def test_a_check_can_be_reopened_like_any_other():
    study = checked_once()
    given = a_check(study, rater(), PlacePurpose.REPEAT)
    label(given, "convergence")
    rating = label(given, "nonsensical")
    assert (rating.purpose, rating.revision, rating.ordinal) == (PlacePurpose.REPEAT, 2, 1)
    votes = Rating.objects.votes().filter(item=given.item)
    assert votes.get().label.key == "convergence"


# Not to be told


def test_what_is_done_and_left_moves_by_one_whatever_it_was():
    study = checked(items=120, golden=40, gold=0.2, repeats=0.2, repeat_after=3)
    shown, kinds = [], []
    for _ in range(100):
        given = take(study, rater())
        kinds.append(given.purpose)
        label(given)
        now = progress(desk(study, rater()))
        shown.append((now.done, now.left))
    assert len(set(kinds)) == 3
    assert [done for done, _ in shown] == list(range(1, 101))
    jumps = [n for n in range(1, 100) if shown[n - 1][1] - shown[n][1] != 1]
    assert all((n + 1) % COUNT_AGAIN in (0, 1) for n in jumps), jumps  # counted anew there, and only there


def keys_of(value, path=""):
    """Yield every key in a JSON document, by its path, with the kind of its value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from keys_of(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value[:1]:
            yield from keys_of(inner, f"{path}[]")
    else:
        yield path, type(value).__name__


def test_answers_about_a_check_have_the_same_keys_and_kinds(client):
    study = checked(items=60, golden=20, gold=0.3, repeats=0.3, repeat_after=2)
    user = builders.User.objects.create_user("eva")
    study.memberships.create(user=user, role="rater")
    builders.ready(study, user)
    client.force_login(user)
    seen: dict[str, list[object]] = {}
    url = "/studies/checked/label/"
    shape = {"item": {}, "submit": {}, "draft": {}, "skip": {}}
    for number in range(40):
        answer = post(client, f"{url}next", {"want": 1})
        item = answer["items"][0] if answer["items"] else None
        serving = Serving.objects.get(key=answer["held"][0])
        purpose = str(serving.purpose)
        if item:
            seen.setdefault(purpose, []).append(item)
            shape["item"].setdefault(purpose, set()).update(keys_of(item))
        sent = {"key": serving.key, "draft": {"label": "convergence"}}
        shape["draft"].setdefault(purpose, set()).update(keys_of(post(client, f"{url}draft", sent)))
        if number % 7 == 6:
            said = post(client, f"{url}skip", {"key": serving.key, "reason": "No.", "want": 0})
            shape["skip"].setdefault(purpose, set()).update(keys_of(said))
        else:
            sent = {"key": serving.key, "label": "convergence", "submission": f"sub-{number:06}", "want": 0}
            shape["submit"].setdefault(purpose, set()).update(keys_of(post(client, f"{url}submit", sent)))
    assert set(seen) == {"slot", "gold_check", "repeat"}
    for kind in ("item", "draft", "submit"):
        assert shape[kind]["slot"] == shape[kind]["gold_check"] == shape[kind]["repeat"], kind
    told = json.dumps(list(seen.values()))
    assert "gold" not in told and "repeat" not in told and "purpose" not in told
    shown = Serving.objects.values_list("purpose", "shown")
    assert len({json.dumps(value, sort_keys=True) for _, value in shown}) == 1


def post(client, url, sent):
    answer = client.post(url, sent, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_repeat_comes_under_another_key():
    study = checked_once()
    again = a_check(study, rater(), PlacePurpose.REPEAT)
    before = Serving.objects.get(item=again.item, rater=rater(), purpose=PlacePurpose.SLOT)
    assert before.key != again.key and again.draft is None and again.revision == 0


# What a rater could work out


def drawn_for(by, count=200):
    """Tell which of the rater's items would be checks, by whether a check is due after so many."""
    at = builders.desk(study_of(), by)
    return [is_due(at, further) for further in range(count)]


def test_which_are_checks_can_not_be_told_without_the_servers_key(settings):
    checked(gold=0.3)
    settings.SECRET_KEY = "one-" * 12
    mine = drawn_for(rater())
    assert drawn_for(rater()) == mine and 30 < sum(mine) < 90
    settings.SECRET_KEY = "two-" * 12
    other = drawn_for(rater())
    assert 40 < sum(one != two for one, two in zip(mine, other, strict=True)) < 130
    unkeyed = [told_by_the_code(study_of(), rater(), n) < 0.3 for n in range(200)]
    assert 40 < sum(one != two for one, two in zip(mine, unkeyed, strict=True)) < 130


def test_a_study_from_before_keeps_its_checks():
    checked(gold=0.3)
    Study.objects.update(keyed_chance=False)
    assert drawn_for(rater()) == [told_by_the_code(study_of(), rater(), n) < 0.3 for n in range(200)]


def told_by_the_code(study, by, number):
    """Return the number that would decide it without the server's key, as anybody could compute it."""
    return int(digest("check", str(study.pk), str(by.pk), str(number))[:13], 16) / 16**13


def study_of():
    return Study.objects.get()
