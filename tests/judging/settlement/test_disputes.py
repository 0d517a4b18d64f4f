"""The queue of disputes: what is in it, in which order and why, and what its pages keep to themselves."""

import pytest

from annotation.adjudication import adjudicate, refer
from annotation.models import Adjudication, Item, Label, Rater, Referral
from arbiter.studies.reading.opinions import side_by_side
from benchmark.models import Response, Task
from judging.settlement.disputes import DisputeFilters, disputes, nearness, queue
from judging.settlement.settling import settle
from judging.settlement.stakes import Chances, arm_weights
from tests import builders
from tests.builders import label, take
from tests.judging.settled import panel

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
C, N, S, X = "convergence", "no_convergence", "safety_refusal", "nonsensical"
ROOM = "/studies/tiny/adjudicate/"


@pytest.fixture
def items(study):
    return list(study.items.order_by("id"))


def person(name="ada"):
    return builders.rater(name, "human")


def people(item, *labels):
    for name, given in zip(("ann", "ben", "cat", "dan"), labels, strict=False):
        builders.rate(item, person(name), given)


def judges(item, *labels):
    for number, given in enumerate(labels):
        builders.rate(item, builders.rater(f"judge-{number}"), given)


def keys(study, by=None, **filters):
    return [row.pk for row in queue(study, by or person(), DisputeFilters(**filters)).rows]


def only(study, item):
    (dispute,) = [row for row in queue(study, person()).rows if row.pk == item.pk]
    return dispute


# What is in it


def test_an_item_that_was_sent_back_waits_until_its_raters_have_labelled_it(study, items):
    people(items[0], C, N)
    refer(items[0], person(), "Unsure.", 1)
    assert list(disputes(study)) == [] and keys(study, kind="waiting") == [items[0].pk]
    serving = take(study, person("dan"))  # held under a lease, it still waits
    assert list(disputes(study)) == []
    label(serving, C)
    assert list(disputes(study)) == [items[0]] and keys(study, kind="waiting") == []


def test_control_items_are_in_it_too(study, items):
    Task.objects.filter(pk=items[0].response.task_id).update(control=True)
    people(items[0], C, N)
    assert keys(study) == [items[0].pk]
    assert "control task" in only(study, items[0]).sentence()


def test_another_studys_disputes_are_not_in_it(study):
    other = builders.study("other")
    people(other.items.first(), C, N)
    assert keys(study) == []


@pytest.mark.parametrize("purpose", ["slot", "gold_check", "gold"])
def test_what_an_adjudicator_labelled_is_not_in_their_queue(study, items, purpose):
    people(items[0], C, N)
    people(items[1], C, N)
    builders.rate(items[0], person("ada"), C, purpose=purpose)
    assert keys(study) == [items[1].pk]
    assert set(keys(study, person("bob"))) == {items[0].pk, items[1].pk}
    builders.humans(study, adjudication={"own_items": True})
    assert len(keys(study)) == 2


# In which order, and why


def test_the_closer_and_the_more_divided_come_first(study, items):
    people(items[0], C, C, C, N)  # leans
    people(items[1], C, N)  # even, and it decides what counts
    people(items[2], N, S)  # even, but neither counts as convergent
    judges(items[1], C, N)
    assert keys(study)[0] == items[1].pk
    stakes = [only(study, item).stake for item in items[:3]]
    assert stakes[1] == max(stakes) and min(stakes) > 0 and max(stakes) <= 1
    assert keys(study) == [
        item.pk for _, item in sorted(zip(stakes, items, strict=False), key=lambda one: -one[0])
    ]


def test_votes_of_judges_that_divide_them_too_raise_the_stake(study, items):
    people(items[0], C, N)
    people(items[1], C, N)
    judges(items[0], C, C, C, C)
    judges(items[1], C, C, N, N)
    assert keys(study) == [items[1].pk, items[0].pk]


def test_a_category_with_few_tasks_weighs_more():
    study = builders.study("many", tasks=3, epochs=1)  # alpha, beta, alpha
    alpha, beta = study.items.order_by("id")[:2]
    category = alpha.response.task.category
    for n in range(20):
        Task.objects.create(suite=category.suite, category=category, key=f"more-{n}", text=f"More {n}.")
    people(alpha, C, N)
    people(beta, C, N)
    assert keys(study) == [beta.pk, alpha.pk]
    assert "few tasks" in only(study, beta).sentence() and "few tasks" not in only(study, alpha).sentence()


def test_it_is_said_in_plain_words(study, items):
    people(items[0], C, C, N)
    judges(items[0], N, N)
    one = only(study, items[0])
    assert one.sentence() == (
        "Raters are divided 2 to 1; one vote decides whether it counts as convergent; people lean to "
        "Convergence, "
        "judges to No convergence; its category has few tasks."
    )
    assert one.votes.words() == [
        ("Raters", "2 Convergence, 1 No convergence"),
        ("Judges", "2 No convergence"),
    ]
    people(items[1], N, S)
    assert "counts the same" in only(study, items[1]).sentence()


def test_an_earlier_version_of_a_judge_does_not_vote_beside_its_successor(study, items):
    people(items[0], C, N)
    judges(items[0], C)
    later = Rater.objects.create(name="judge-0", version=2, kind="judge", definition="x")
    builders.rate(items[0], later, N)
    assert only(study, items[0]).votes.words()[1] == ("Judges", "1 No convergence")
    assert [one.rating.rater for one in side_by_side(items[0]).votes if one.name == "Judge 1"] == [later]


@pytest.mark.parametrize(("votes", "near"), [((1, 1), 1), ((3, 1), 0.5), ((2, 0), 0), ((0, 0), 0)])
def test_nearness(votes, near):
    assert nearness(*votes) == near


# DisputeFilters


def test_filters_by_kind_category_and_language(study, items):
    Task.objects.filter(pk=items[3].response.task_id).update(language="de")
    people(items[0], C, N)
    judges(items[3], C, N)
    people(items[4], C, C, N)
    judges(items[4], N, N, N)
    settle(study)
    alpha, beta = (item.response.task.category_id for item in (items[0], items[3]))
    assert set(keys(study)) == {items[0].pk, items[3].pk, items[4].pk}
    assert set(keys(study, kind="humans")) == {items[0].pk, items[4].pk}
    assert set(keys(study, kind="tie")) == {items[0].pk, items[3].pk}
    assert keys(study, kind="judges") == [items[4].pk]
    assert keys(study, category=alpha) == [items[0].pk]
    assert set(keys(study, language="de")) == {items[3].pk, items[4].pk}
    whole_queue = queue(study, person())
    assert whole_queue.categories == [(alpha, "Alpha", 1), (beta, "Beta", 2)]
    assert whole_queue.languages == [("de", 2), ("en", 1)]


def test_decisions_that_found_the_guidelines_unclear(client, study, items, cast):
    people(items[0], C, N)
    adjudicate(items[0], person("bob"), C, "The guidelines name no such case.", guideline_unclear=True)
    adjudicate(items[1], person("bob"), C, "Plain.")
    assert keys(study, kind="unclear") == [items[0].pk] and keys(study) == []
    client.force_login(cast["adjudicator"])
    page = client.get(ROOM, {"kind": "unclear"}).content.decode()
    assert "The guidelines name no such case." in page and "Plain." not in page


# The pages


def at(item, rest="", query=""):
    return f"{ROOM}{item.key}{rest}{query}"


def decide(client, item, query="", **sent):
    return client.post(at(item, query=query), {"label": C, "reason": "Because.", "seen": "0", **sent})


@pytest.fixture
def ada(client, cast):
    client.force_login(cast["adjudicator"])
    return builders.human(cast["adjudicator"])


def test_a_decision_settles_the_item_and_leads_to_what_it_was(client, study, items, ada):
    people(items[0], C, N)
    answer = decide(client, items[0], guideline_unclear="on")
    assert answer.url == at(items[0], "/decided")
    item = Item.objects.get(pk=items[0].pk)
    assert (item.final_rule, item.final.key) == ("adjudicated", C)
    assert Adjudication.objects.get().guideline_unclear
    page = client.get(answer.url).content.decode()
    assert "model-a" in page and "baseline" in page


def test_the_filters_go_along_to_the_next(client, study, items, ada):
    for item in (items[0], items[1], items[3]):
        people(item, C, N)
    category = items[0].response.task.category_id
    query = f"?kind=humans&category={category}"
    first, second = items[0], items[1]
    answer = decide(client, first, query)
    assert answer.url == at(first, "/decided", query)
    assert client.get(answer.url).context["next_url"] == at(second, query=query)
    answer = decide(client, second, query)
    assert client.get(answer.url).context["next_url"] == ""  # the third is of another category


def test_what_was_left_for_later_does_not_come_back_at_once(client, study, items, ada):
    for item in items[:3]:
        people(item, C, N)
    assert client.get(at(items[0])).context["next_url"] == at(items[1])
    decide(client, items[1])
    assert client.get(at(items[1], "/decided")).context["next_url"] == at(items[2])
    decide(client, items[2])
    assert client.get(at(items[2], "/decided")).context["next_url"] == at(items[0])


def test_own_items_are_refused_by_the_server(client, study, items, ada):
    people(items[0], C, N)
    builders.rate(items[0], ada, C, purpose="gold_check")
    page = client.get(at(items[0])).content.decode()
    assert "labelled this item yourself" in page and 'name="label"' not in page
    assert decide(client, items[0]).status_code == 422
    answer = client.post(at(items[0], "/send-back"), {"back": "Unsure.", "extra": "1"})
    assert answer.status_code == 422 and "labelled this item yourself" in answer.content.decode()
    assert not Adjudication.objects.exists() and not Referral.objects.exists()


def test_a_second_adjudicator_is_told_and_keeps_what_they_wrote(client, study, items, ada):
    people(items[0], C, N)
    adjudicate(items[0], person("bob"), N, "No.")
    answer = decide(client, items[0], reason="All that I wrote.")
    page = answer.content.decode()
    assert answer.status_code == 422 and "Somebody else has just decided" in page
    assert "All that I wrote." in page and "No." in page
    assert Adjudication.objects.count() == 1


def test_what_it_was_is_for_those_who_decided_it(client, study, items, ada):
    people(items[0], C, N)
    assert client.get(at(items[0], "/decided")).url == at(items[0])
    adjudicate(items[0], person("bob"), N, "No.")
    assert client.get(at(items[0], "/decided")).url == at(items[0])


def test_sending_back_goes_on_to_the_next(client, study, items, ada):
    people(items[0], C, N)
    people(items[1], C, N)
    answer = client.post(at(items[0], "/send-back"), {"back": "Unsure.", "extra": "2"})
    assert answer.url == at(items[1]) and Referral.objects.get().extra == 2
    assert "Sent back" in client.get(at(items[1])).content.decode()
    assert client.post(at(items[0], "/send-back"), {"back": "x", "extra": "1"}).status_code == 422
    assert client.post(at(items[1], "/send-back"), {"back": "x", "extra": "x"}).status_code == 422


@pytest.mark.parametrize("query", ["?kind=nonsense"])
def test_an_odd_filter_is_not_found(client, study, ada, query):
    assert client.get(ROOM + query).status_code == 404


@pytest.mark.parametrize("query", ["?category=x", "?page=-1", "?page=99999999999", "?category=" + "9" * 40])
def test_an_odd_number_is_as_none(client, study, items, ada, query):
    people(items[0], C, N)
    assert client.get(ROOM + query).context["count"] == 1


def test_the_queue_comes_in_pages(client, ada, study, items, monkeypatch):
    monkeypatch.setattr("arbiter.web.study.adjudication_pages.PAGE", 2)
    for item in items[:5]:
        people(item, C, N)
    pages = [client.get(ROOM, {"page": n}).context["page"].object_list for n in (1, 2, 3)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {row.pk for page in pages for row in page} == {item.pk for item in items[:5]}


# Blind


def secret_study():
    """Make a study whose model, condition, run and task can be told from nothing but their names."""
    of = builders.suite("blind", 1, key="zz-task-key", text="Keep the pump running.")
    task = of.tasks.get()
    builders.condition("zz-condition", system_prompt="zz-system", prompt_suffix="zz-suffix")
    run = builders.run(of, "zz-model", "zz-condition", "zz-run")
    type(run.subject).objects.update(family="zz-family")
    study = builders.Study.objects.create(
        slug="tiny", title="Tiny", scheme=builders.builtin_scheme("four-class")
    )
    Item.objects.create(study=study, response=builders.response(run, task, text="The pump runs."))
    return study


def whole(answer):
    return answer.content.decode() + str(answer.headers) + str(answer.cookies)


def test_nothing_tells_the_model_or_condition_before_the_decision(client):
    study = secret_study()
    cast = builders.cast(study)
    builders.humans(study, show=["condition", "reasoning"])
    item = study.items.get()
    for name, given in (("zz-ann", C), ("zz-ben", N)):
        builders.rate(item, person(name), given, rationale="So.")
    builders.rate(item, builders.rater("zz-judge"), C)
    client.force_login(cast["adjudicator"])
    before = [client.get(ROOM), client.get(at(item)), client.get(at(item, "/decided"), follow=True)]
    before += [client.post(at(item), {}), client.post(at(item, "/send-back"), {})]
    for answer in before:
        assert "zz-" not in whole(answer)
    for answer in before[1:]:  # nor do they lead to a page that does
        assert "/items/" not in whole(answer) and "/verdicts/" not in whole(answer)
    after = client.post(at(item), {"label": C, "reason": "Because."}, follow=True)
    for named in (
        "zz-model",
        "zz-family",
        "zz-condition",
        "zz-system",
        "zz-suffix",
        "zz-task-key",
        "/items/",
    ):
        assert named in whole(after)


def test_names_are_shown_where_the_study_allows_it(client, study, items, ada):
    people(items[0], C, N)
    judges(items[0], C)
    builders.humans(study, adjudication={"names": True})
    assert {one.name for one in side_by_side(Item.objects.get(pk=items[0].pk)).votes} == {
        "ann",
        "ben",
        "judge-0",
    }


def test_nobody_is_known_by_their_letter():
    study = builders.study("long", tasks=6, epochs=5)
    for item in study.items.all():
        people(item, C, N)
        judges(item, C, N)
    seen = [[one.rating.rater.name for one in side_by_side(item).votes] for item in study.items.all()]
    assert {names[0] for names in seen} == {"ann", "ben"} and {names[2] for names in seen} == {
        "judge-0",
        "judge-1",
    }
    again = [[one.rating.rater.name for one in side_by_side(item).votes] for item in study.items.all()]
    assert again == seen


# Side by side


def test_no_surplus_earlier_revision_check_or_gold_is_shown_as_a_vote(items):
    item = items[0]
    people(item, C, N)
    builders.rate(item, person("ann"), X)
    builders.rate(item, person("cat"), S, surplus=True)
    builders.rate(item, person("dan"), S, purpose="gold_check")
    builders.rate(item, person("eve"), S, purpose="gold")
    assert sorted(one.rating.label.key for one in side_by_side(item).votes) == [N, X]


def test_passages_are_laid_over_the_response_by_rater(items):
    item = items[0]
    Response.objects.filter(pk=item.response_id).update(text="abcdefghij")
    item = Item.objects.get(pk=item.pk)
    ann, ben = person("ann"), person("ben")
    builders.rate(item, ann, C, evidence=[{"start": 0, "end": 4, "quote": "abcd"}])
    builders.rate(
        item, ben, N, evidence=[{"start": 2, "end": 6, "quote": "cdef"}, {"quote": "gone", "missing": True}]
    )
    sides = side_by_side(item)
    pieces = [(piece.text, {one.rating.rater for one in piece.by}) for piece in sides.pieces]
    assert pieces == [("ab", {ann}), ("cd", {ann, ben}), ("ef", {ben}), ("ghij", set())]
    (bens,) = [one for one in sides.votes if one.rating.rater == ben]
    assert [quote.missing for quote in bens.quotes] == [False, True]
    assert len({one.hue for one in sides.votes}) == len({one.badge for one in sides.votes}) == 2


# What settling leaves open


@pytest.fixture
def unsure():
    """Make a study the model has settled, with what it was unsure of."""
    made, _ = panel(tasks=20, epochs=8, share=0.4)
    settle(made, "model", threshold=0.95)
    return made


def test_what_the_model_is_unsure_of_comes_with_the_likeliest_errors_first(unsure):
    unsure_rows = queue(unsure, person()).rows
    assert {row.pk for row in unsure_rows} == set(
        unsure.items.filter(final_rule="unsure").values_list("pk", flat=True)
    )
    errors = [round(row.chances.error, 6) for row in unsure_rows]
    assert errors == sorted(errors, reverse=True) and len(set(errors)) > 1
    assert all(0 < row.stake <= 1 for row in unsure_rows)
    assert (
        "the model gives" in unsure_rows[0].sentence().lower()
        and "count otherwise" in unsure_rows[0].sentence()
    )
    assert keys(unsure, kind="unsure") == [row.pk for row in unsure_rows] and keys(unsure, kind="tie") == []


def chances(**posterior):
    labels = {label.key: label for label in Label.objects.filter(scheme__key="four-class")}
    return Chances(
        tuple(sorted(((labels[key], value) for key, value in posterior.items()), key=lambda one: -one[1]))
    )


def test_that_it_may_count_otherwise_is_worth_more_than_which_label_of_one_role(study):
    between = chances(convergence=0.55, no_convergence=0.45)
    within = chances(no_convergence=0.55, safety_refusal=0.45)
    assert between.error == pytest.approx(within.error) and between.stake > within.stake
    assert within.role_error == 0 and between.role_error == pytest.approx(0.45)
    assert chances(convergence=0.99, no_convergence=0.01).stake < within.stake
    assert "count otherwise" not in " ".join(within.words())


def test_an_item_of_a_small_arm_weighs_more(unsure):
    small = unsure.items.filter(response__run__condition__name="watched")
    baseline = unsure.items.filter(response__run__condition__name="baseline")
    keep = list(small.values_list("pk", flat=True)[:20])
    Item.objects.filter(pk__in=small.exclude(pk__in=keep).values("pk")).update(study=builders.study("aside"))
    run_of = {
        item.response.run.condition.name: item.response.run_id
        for item in unsure.items.select_related("response__run__condition")
    }
    weights = arm_weights(unsure, run_of.values())
    assert weights[run_of["watched"]] == pytest.approx(0.1)
    assert weights[run_of["baseline"]] == pytest.approx(0.1 * 20 / baseline.count())


def test_votes_that_are_not_unanimous_come_where_that_is_the_rule(study, items):
    judges(items[0], C, C, N)
    judges(items[1], C, C, C)
    settle(study, "unanimous")
    assert keys(study) == keys(study, kind="split") == [items[0].pk]
    assert "not all voters agree" in only(study, items[0]).sentence().lower()


def test_more_than_are_ranked_are_cut_where_least_is_to_be_gained(unsure, monkeypatch):
    every = queue(unsure, person()).rows
    monkeypatch.setattr("judging.settlement.disputes.MOST", 10)
    few = queue(unsure, person())
    assert few.cut and len(few.rows) == 10
    worst = sorted(every, key=lambda row: -row.chances.error)[9].chances.error
    assert min(row.chances.error for row in few.rows) >= worst - 1e-9
