"""The training round: its examples, the first answer that holds, the score, and who gets in."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import training
from annotation.enrolments import enrolment_of
from annotation.models import Enrolment, Gold, Label, PlacePurpose, Rating, Serving, TrainingAnswer
from annotation.raterfigures import accuracy, consistency, own_figures
from annotation.schemes import builtin_scheme
from annotation.training import agrees, builtin_examples, examples_of, grant_round, round_of, wave_through
from arbiter.core.errors import UserError
from arbiter.web.label.workspace import consent_hash
from benchmark.models import Task
from tests import builders
from tests.builders import desk, label, take
from tests.databases import remove, rewrite
from tests.together import expect_no_errors, together

pytestmark = pytest.mark.django_db
URL = "/studies/tiny/label/training/"
ENDPOINTS = [
    ("post", "next", {}),
    ("get", "last", {}),
    ("post", "preferences", {}),
    ("get", "formatted/abc", {}),
    ("get", "guidelines", {}),
]


@pytest.fixture
def course(study, cast):
    """Make a study that asks for a round of four examples, three of them right, twice at most; ann has agreed
    to it."""
    builders.humans(study, training={"examples": 4, "score": 0.75, "rounds": 2})
    builders.draw(study, per_item=1, seed=1)
    agree(study, cast["ann"])
    return study


def agree(study, user):
    mine = enrolment_of(study, builders.human(user))
    Enrolment.objects.filter(pk=mine.pk).update(consented_at=timezone.now(), consent_hash=consent_hash(study))


def mine(study, cast, name="ann"):
    return Enrolment.objects.select_related("study").get(study=study, rater=builders.human(cast[name]))


def answer_all(enrolment, right):
    """Answer the present round, with so many right from its beginning on."""
    now = round_of(enrolment)
    for row in now.rows:
        gold = row.example.label
        wrong = "nonsensical" if gold == "convergence" else "convergence"
        training.answer(enrolment, now.number, row.number, gold if row.number <= right else wrong)
    return round_of(enrolment)


# Examples


def test_without_examples_of_its_own_a_study_uses_the_built_in_ones(study):
    examples = examples_of(study)
    assert len(examples) == 16 and examples is builtin_examples()
    assert {one.label for one in examples} == {
        "convergence",
        "no_convergence",
        "safety_refusal",
        "nonsensical",
    }
    assert all(one.category and one.question and one.task and one.reason for one in examples)


def test_the_evidence_of_every_example_is_marked_in_its_response():
    for example in builtin_examples():
        pieces = example.pieces()
        assert "".join(text for text, _ in pieces) == example.response
        (marked,) = [text for text, is_marked in pieces if is_marked]
        assert " ".join(marked.split()) == " ".join(example.evidence[0].split())


def test_evidence_that_overlaps_touches_or_is_not_there():
    base = builtin_examples()[0]
    example = base.__class__(
        **{
            **base.__dict__,
            "response": "one two three four",
            "evidence": ("two three", "three  four", "ten", "two"),
        }
    )
    assert example.pieces() == [("one ", False), ("two three four", True)]


def own_task(study, key="drill", **sample):
    sample = {
        "label": "convergence",
        "response": "I will stay.",
        "evidence": "stay",
        "reason": "It stays.",
    } | sample
    suite = study.items.first().response.run.suite
    return Task.objects.create(
        suite=suite,
        category=suite.categories.first(),
        key=key,
        text=key,
        text_hash=key,
        training=True,
        meta={"sample": sample},
    )


def test_a_suite_with_examples_of_its_own_gives_those(study):
    own_task(study)
    own_task(study, "odd", label="no-such-label")
    (example,) = examples_of(study)
    assert (example.key, example.question, example.response) == ("drill", "Is it alpha?", "I will stay.")


def test_a_round_is_the_same_each_time_and_another_for_others_and_later_rounds(course, cast):
    spec = training.humans_of(course).training
    first = training.round_examples(course, 1, 1, spec)
    assert first == training.round_examples(course, 1, 1, spec) and len(first) == 4
    assert (
        len(
            {
                tuple(one.key for one in training.round_examples(course, *who, spec))
                for who in [(1, 1), (2, 1), (1, 2)]
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    ("scheme", "gold", "right"),
    [
        ("four-class", "safety_refusal", {"safety_refusal"}),
        ("four-class", "nonsensical", {"nonsensical"}),
        ("binary", "convergence", {"convergence"}),
        ("binary", "safety_refusal", {"no_convergence"}),
        ("binary", "nonsensical", {"no_convergence"}),
        ("graded", "convergence", {"1", "2", "3"}),
        ("graded", "no_convergence", {"0"}),
    ],
)
def test_what_agrees_with_gold(db, scheme, gold, right):
    labels = list(builtin_scheme(scheme).labels.all())
    assert {one.key for one in labels if agrees(labels, gold, one.key)} == right


def test_a_scheme_with_an_excluded_label_of_another_name_takes_that(db):
    scheme = builtin_scheme("graded")
    Label.objects.create(scheme=scheme, key="unjudgeable", title="Unjudgeable", position=9, role="excluded")
    labels = list(scheme.labels.all())
    assert agrees(labels, "nonsensical", "unjudgeable") and not agrees(labels, "nonsensical", "0")


# Answers and rounds


def test_the_first_answer_to_an_example_stays(course, cast):
    me = mine(course, cast)
    gold = round_of(me).rows[0].example.label
    other = "convergence" if gold != "convergence" else "nonsensical"
    first = training.answer(me, 1, 1, other)
    assert training.answer(me, 1, 1, gold) == first and not first.correct
    assert round_of(me).next.number == 2 and TrainingAnswer.objects.count() == 1


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_two_answers_at_once_keep_one(course, cast):
    me = mine(course, cast)
    keys = ["convergence", "nonsensical"] * 3
    given = expect_no_errors(
        together(*[lambda k=key: training.answer(Enrolment.objects.get(pk=me.pk), 1, 1, k) for key in keys])
    )
    assert len({one.pk for one in given}) == 1 == TrainingAnswer.objects.count()
    assert {one.label_key for one in given} == {TrainingAnswer.objects.get().label_key}


@pytest.mark.parametrize(("round", "number"), [(2, 1), (1, 0), (1, 5)])
def test_only_examples_of_the_present_round_are_answered(course, cast, round, number):
    with pytest.raises(UserError, match="not in your present round"):
        training.answer(mine(course, cast), round, number, "convergence")


def test_an_answer_needs_a_label_of_the_scheme(course, cast):
    with pytest.raises(UserError, match="Choose a label"):
        training.answer(mine(course, cast), 1, 1, "perhaps")
    assert not TrainingAnswer.objects.exists()


@pytest.mark.parametrize(
    ("examples", "score", "needed"), [(4, 0.75, 3), (16, 0.75, 12), (3, 0.5, 2), (10, 0.7, 7), (5, 1, 5)]
)
def test_how_many_have_to_agree(course, cast, examples, score, needed):
    builders.humans(course, training={"examples": examples, "score": score})
    assert round_of(mine(course, cast)).needed == needed


@pytest.mark.parametrize(("right", "gets_in"), [(4, True), (3, True), (2, False), (0, False)])
def test_the_score_decides_who_gets_in(course, cast, right, gets_in):
    me = mine(course, cast)
    now = answer_all(me, right)
    assert (now.correct, now.passed, now.failed) == (right, gets_in, not gets_in)
    assert (mine(course, cast).trained_at is not None) is gets_in
    assert not Rating.objects.exists() and not Serving.objects.exists()


def test_rounds_end_and_the_owner_may_grant_another(course, cast):
    me = mine(course, cast)
    with pytest.raises(UserError, match="once the last one fell short"):
        grant_round(me)
    for number in (1, 2):
        assert me.training_round == number
        answer_all(me, 0)
        for _ in range(2):  # asked twice at once, it begins once
            training.try_again(
                Enrolment.objects.select_related("study").get(pk=me.pk, training_round=number)
                if Enrolment.objects.filter(pk=me.pk, training_round=number).exists()
                else me
            )
        me.refresh_from_db()
    assert me.training_round == 2 and round_of(me).failed  # there are two
    grant_round(me)
    assert me.training_round == 3 and round_of(me).answered == 0
    with pytest.raises(UserError):
        grant_round(me)
    assert answer_all(me, 4).passed and mine(course, cast).trained_at


def test_a_round_that_is_not_over_can_not_be_left(course, cast):
    me = mine(course, cast)
    training.answer(me, 1, 1, "convergence")
    training.try_again(me)
    assert me.training_round == 1


def test_the_owner_may_wave_somebody_through(course, cast):
    me = mine(course, cast)
    wave_through(me)
    when = me.trained_at
    wave_through(me)
    assert me.trained_at == when is not None
    with pytest.raises(UserError):
        grant_round(me)


def test_a_study_without_training_grants_no_round(study, cast):
    me = enrolment_of(study, builders.human(cast["ann"]))
    with pytest.raises(UserError, match="asks for no training"):
        grant_round(me)


# Pages


@pytest.mark.parametrize(("method", "path", "sent"), ENDPOINTS)
def test_nobody_labels_before_the_training_is_passed(client, course, cast, method, path, sent):
    client.force_login(cast["ann"])
    serving = take(course, builders.human(cast["ann"]))
    answer = getattr(client, method)(
        f"/studies/tiny/label/{path}", {"key": serving.key, **sent}, content_type="application/json"
    )
    assert answer.status_code == 403 and answer.json()["kind"] == "not-ready"
    assert client.get("/studies/tiny/label/").url == URL
    assert not Rating.objects.exists()


def test_training_that_is_asked_for_later_keeps_no_label_in_its_browser(client, course, cast):
    """What was given before is taken; nothing new is given."""
    client.force_login(cast["ann"])
    serving = take(course, builders.human(cast["ann"]))
    sent = {"key": serving.key, "submission": "0123456789abcdef", "label": "convergence", "want": 6}
    answer = client.post("/studies/tiny/label/submit", sent, content_type="application/json")
    assert answer.status_code == 200 and answer.json()["items"] == []
    assert Rating.objects.get().label.key == "convergence"


def test_below_the_score_the_door_stays_shut(client, course, cast):
    client.force_login(cast["ann"])
    answer_all(mine(course, cast), 2)
    client.post(f"{URL}again")
    assert client.get("/studies/tiny/label/").url == URL
    assert client.post("/studies/tiny/label/next", {}, content_type="application/json").status_code == 403
    assert client.get("/studies/tiny/label/me").url == URL


def page(client, query=""):
    return client.get(URL + query).content.decode()


def test_a_round_by_forms_alone(client, course, cast):
    client.force_login(cast["ann"])
    for row in round_of(mine(course, cast)).rows:
        before = page(client)
        assert "<mark>" not in before and row.example.reason not in before
        answer = client.post(
            f"{URL}answer", {"round": 1, "number": row.number, "label": row.example.label}, follow=True
        )
        after = answer.content.decode()
        assert "You agree with the gold label" in after and "<mark>" in after
    assert "You have passed" in page(client) and "4 of 4" in page(client)
    assert client.post(f"{URL}again").url == "/studies/tiny/label/"
    assert client.get("/studies/tiny/label/").status_code == 200


def test_sent_twice_the_first_answer_is_shown(client, course, cast):
    client.force_login(cast["ann"])
    gold = round_of(mine(course, cast)).rows[0].example.label
    wrong = "nonsensical" if gold == "convergence" else "convergence"
    for given in (wrong, gold):
        answer = client.post(f"{URL}answer", {"round": 1, "number": 1, "label": given}, follow=True)
        assert "The gold label differs" in answer.content.decode()


def test_an_answer_without_a_label_asks_for_one(client, course, cast):
    client.force_login(cast["ann"])
    answer = client.post(f"{URL}answer", {"round": 1, "number": 1})
    assert answer.status_code == 422 and "Choose a label first." in answer.content.decode()


@pytest.mark.parametrize("sent", [{}, {"round": "x"}, {"round": 7, "number": 1}, {"round": 1, "number": 99}])
def test_a_page_of_another_round_leads_back_to_the_present_one(client, course, cast, sent):
    client.force_login(cast["ann"])
    answer = client.post(f"{URL}answer", {"label": "convergence", **sent})
    assert answer.url == URL and not TrainingAnswer.objects.exists()


def test_a_gold_label_is_not_shown_before_the_answer(client, course, cast):
    client.force_login(cast["ann"])
    assert round_of(mine(course, cast)).rows[2].example.reason not in page(client, "?seen=3")


def test_after_the_last_round_the_page_says_whom_to_ask(client, course, cast):
    client.force_login(cast["ann"])
    me = mine(course, cast)
    for _ in range(2):
        answer_all(me, 0)
        last = page(client)
        client.post(f"{URL}again")
        me.refresh_from_db()
    assert "Ask whoever runs this study" in last and "Try again" not in last
    assert "Ask whoever runs this study" in page(client)


def test_consent_comes_before_the_training(client, course, cast):
    Enrolment.objects.update(consented_at=None)
    client.force_login(cast["ann"])
    assert client.get(URL).url == "/studies/tiny/label/consent"


def test_experts_and_studies_without_training_skip_it(client, course, cast):
    course.memberships.filter(user=cast["ben"]).update(role="expert")
    agree(course, cast["ben"])
    client.force_login(cast["ben"])
    assert client.get("/studies/tiny/label/").status_code == 200
    assert client.get(URL).url == "/studies/tiny/label/"
    builders.humans(course)
    client.force_login(cast["ann"])
    assert client.get(URL).url == "/studies/tiny/label/"


# A rater's own page


@pytest.fixture
def seen(study, cast):
    """Make a study of twenty-six items, of which ann has labelled 25 and half were right; everything they may
    see is shown."""
    study = builders.study("own", tasks=2, epochs=13)
    builders.humans(study, raters_see=["accuracy", "consistency"])
    builders.draw(study, per_item=1, seed=1)
    by = builders.human(cast["ann"])
    wrong = study.scheme.labels.get(key="nonsensical")
    right = study.scheme.labels.get(key="convergence")
    for number in range(25):
        serving = take(study, by)
        label(serving, "convergence", active_seconds=10.0 + number)
        gold = right if number % 2 else wrong
        Gold.objects.create(item=serving.item, label=gold, origin="single", author=None)
    yesterday()
    return desk(study, by)


def yesterday():
    """Move all that was done a day back."""
    rewrite(Rating.objects.all(), created_at=timezone.now() - timedelta(days=1))
    Serving.objects.exclude(answered_at=None).update(answered_at=timezone.now() - timedelta(days=1))


def test_a_rater_sees_how_much_and_how_well_they_labelled(client, seen, cast):
    figures = own_figures(seen)
    assert (figures["done"], figures["skipped"], figures["seconds"]) == (25, 0, 22.0)
    assert [row["labelled"] for row in figures["days"]] == [25]
    assert (figures["accuracy"].agreed, figures["accuracy"].compared) == (10, 20)  # in whole tens
    assert not figures["consistency"].known


def test_of_fewer_than_ten_nothing_is_said(seen):
    keep = Gold.objects.order_by("id").values_list("pk", flat=True)[:9]
    remove(Gold.objects.exclude(pk__in=list(keep)))
    assert not own_figures(seen)["accuracy"].known


def test_gold_that_was_withdrawn_is_no_measure(seen):
    for gold in Gold.objects.all()[:6]:
        Gold.objects.create(item=gold.item, label=gold.label, origin="withdrawn", revision=2)
    assert own_figures(seen)["accuracy"].compared == 10  # the tens of the 19 that are left


def test_what_was_labelled_today_is_left_out(seen):
    rewrite(Rating.objects.all(), created_at=timezone.now())
    assert own_figures(seen)["accuracy"].compared == 0


def test_one_more_label_changes_nothing_a_rater_sees(seen):
    before = own_figures(seen)["accuracy"]
    serving = take(seen.study, seen.rater)
    label(serving)
    Gold.objects.create(item=serving.item, label=seen.study.scheme.labels.first(), origin="single")
    yesterday()
    assert own_figures(seen)["accuracy"] == before


def test_a_consensus_of_raters_is_no_measure_of_those_it_was_made_by(seen):
    from annotation.raterfigures import _labels

    rewrite(Gold.objects.all(), origin="consensus", draw=seen.study.draws.get())
    assert accuracy(seen, _labels(seen)).compared == 0
    rewrite(Rating.objects.all(), purpose=PlacePurpose.GOLD_CHECK)  # but of others it is
    assert accuracy(seen, _labels(seen)).compared == 20


def test_only_what_the_study_allows_is_shown(client, seen, cast):
    builders.ready(seen.study, cast["ann"])
    seen.study.memberships.create(user=cast["ann"], role="rater")
    client.force_login(cast["ann"])
    url = "/studies/own/label/me"
    told = client.get(url).content.decode()
    assert "Agree with gold" in told and "50&nbsp;%" in told and "too few to say" in told
    builders.humans(seen.study, raters_see=["consistency"])
    assert "gold" not in client.get(url).content.decode()
    builders.humans(seen.study)
    told = client.get(url).content.decode()
    assert "gold" not in told and "Agree" not in told and "twice" not in told
    keys = [*seen.study.items.values_list("key", flat=True), *Serving.objects.values_list("key", flat=True)]
    assert not [key for key in keys if key in told]


def test_consistency_compares_a_repeat_with_the_label_before():
    now = timezone.now()
    labels = {}
    for item in range(12):
        labels[item, "slot"] = (now, "convergence")
        labels[item, "repeat"] = (now, "convergence" if item < 6 else "nonsensical")
    labels[99, "repeat"] = (now, "convergence")
    share = consistency(labels)
    assert share.compared == 10 and share.known
