"""A database from before the workspace comes through its migrations whole, and work goes on in it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.draws import extend_draws
from annotation.itemvotes import KeptVotes, rebuild
from annotation.models import (
    Assignment,
    Draw,
    DrawnItem,
    Enrolment,
    Gold,
    Item,
    Rater,
    Rating,
    Serving,
    Skip,
    Study,
)
from annotation.raters import pseudonym, rater_named
from annotation.submitting import answer_in, last_answered
from benchmark.models import Condition, SubjectModel
from judging.models import Settlement
from judging.settlement.settling import rebuild_finals, settle
from tests import builders
from tests.databases import as_of, upgrade

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
NOW = timezone.now()


@pytest.fixture(scope="module")
def upgraded(django_db_setup, django_db_blocker):
    """Fill the tables from before the workspace with all that the tests below ask after, and bring them up to
    date once, since that takes seconds; yield what was told of them before."""
    with django_db_blocker.unblock(), as_of("before-the-workspace") as apps:
        at_work(Old(apps))
        told_apart(Old(apps, "one"), Old(apps, "two"))
        gold_from_files(Old(apps, "golden"))
        names = ("Rating", "Skip", "DrawnItem", "Rater", "Item", "Study", "Label")
        told = {name: rows(apps.get_model(f"annotation.{name}")) for name in names}
        told["Settlement"] = rows(apps.get_model("judging.Settlement"))
        told["places"] = places(apps.get_model("annotation.Assignment"))
        upgrade()
        yield told


class Old:
    """A small world as it was: a study of six items, of which four were drawn for two raters each."""

    def __init__(self, apps, slug="tiny"):
        self.get = apps.get_model
        self.scheme, _ = self.get("annotation.LabelScheme").objects.get_or_create(
            key="binary", version=1, title="B", content_hash="s"
        )
        self.yes, self.no = (
            self.get("annotation.Label").objects.get_or_create(
                scheme=self.scheme, key=key, defaults={"title": key, "role": role, "position": position}
            )[0]
            for position, (key, role) in enumerate([("yes", "target"), ("no", "other")], start=1)
        )
        suite = self.make("benchmark.Suite", slug=slug, title="T")
        category = self.make("benchmark.Category", suite=suite, key="a", title="A", position=1)
        task = self.make("benchmark.Task", suite=suite, category=category, key="t", text="T")
        subject = self.make("benchmark.SubjectModel", name=f"m-{slug}")
        condition = self.make("benchmark.Condition", name=f"c-{slug}", content_hash=f"c-{slug}")
        run = self.make("benchmark.Run", suite=suite, subject=subject, condition=condition)
        self.study = self.make("annotation.Study", slug=slug, title=slug, scheme=self.scheme)
        self.items = []
        for epoch in range(1, 7):
            response = self.make(
                "benchmark.Response",
                run=run,
                task=task,
                epoch=epoch,
                text=f"R{epoch}",
                content_hash=f"h{epoch}",
            )
            self.items.append(
                self.make("annotation.Item", study=self.study, response=response, key=f"{slug}-{epoch}")
            )

    def make(self, model, /, **fields):
        return self.get(model).objects.create(**fields)

    def draw(self):
        drawn = self.make(
            "annotation.Draw",
            study=self.study,
            frame="every item of the study",
            seed=7,
            share=0.4,
            raters_per_item=2,
        )
        for place, item in enumerate(self.items[:4]):
            number = place / 10
            self.make("annotation.DrawnItem", draw=drawn, item=item, probability=0.4, number=number)
            for slot in (1, 2):
                self.make("annotation.Assignment", item=item, slot=slot, number=number)
        return drawn

    def rater(self, name, kind="human", version=1):
        return self.make("annotation.Rater", name=name, kind=kind, version=version)

    def rate(self, place, rater, label, **fields):
        return self.make("annotation.Rating", item=self.items[place], rater=rater, label=label, **fields)

    def place(self, place, slot, rater, state):
        until = NOW + timedelta(minutes=30) if state == "leased" else None
        self.get("annotation.Assignment").objects.filter(item=self.items[place], slot=slot).update(
            rater=rater, state=state, leased_until=until
        )

    def settle(self, place, revision, label, rule):
        self.make(
            "judging.Settlement",
            item=self.items[place],
            revision=revision,
            label=label,
            rule=rule,
            inputs_hash="x",
        )


def at_work(old):
    """Fill the old tables: Ann and Ben at work, ben with a revision and an extra label; two versions of a
    judge; all kinds of places."""
    old.draw()
    ann, ben, cleo = (old.rater(name) for name in ("ann", "ben", "cleo"))
    first, second = old.rater("careful", "judge"), old.rater("careful", "judge", 2)
    noisy, check = old.rater("noisy", "judge"), old.rater("check", "scorer")
    for place in (0, 1):
        old.place(place, 1, ann, "done")
        old.rate(place, ann, old.yes, submission=f"ann-{place}", shown={"blind": True, "fields": ["task"]})
    old.place(0, 2, ben, "done")
    old.rate(0, ben, old.yes, submission="ben-1")
    old.rate(
        0,
        ben,
        old.no,
        revision=2,
        rationale="On reflection.",
        confidence=2,
        confidence_scale="steps3",
        evidence=[{"start": 0, "end": 1, "quote": "R"}],
        submission="ben-2",
    )
    old.rate(1, cleo, old.no, surplus=True)
    old.place(1, 2, ben, "leased")
    old.place(2, 1, cleo, "leased")
    old.make("annotation.Skip", item=old.items[2], rater=ann, reason="I know it.")
    old.make("annotation.Skip", item=old.items[3], rater=cleo, reason="Not mine.")
    for place in range(4):
        old.rate(place, first, old.yes)
        old.rate(place, second, old.no if place % 2 else old.yes)
        old.rate(place, noisy, old.yes)
        old.rate(place, noisy, old.no, ordinal=1)
    old.rate(4, check, old.no)
    old.rate(4, ann, old.no, question="second")
    old.rate(4, ann, old.no, purpose="gold_check")
    old.settle(0, 1, None, "tie")
    old.settle(0, 2, old.yes, "majority")
    old.settle(1, 1, None, "tie")


def rows(model, *leave_out):
    names = [field.attname for field in model._meta.concrete_fields if field.attname not in leave_out]
    return names, list(model.objects.order_by("pk").values_list(*names))


def places(assignments):
    return list(assignments.objects.values_list("pk", "item", "slot", "number").order_by("pk"))


def test_nothing_is_lost(upgraded):
    for model in (Rating, Skip, DrawnItem, Rater, Item, Study, Settlement):
        names, then = upgraded[model.__name__]
        assert list(model.objects.order_by("pk").values_list(*names)) == then, model
    assert places(Assignment) == upgraded["places"]
    expect_places_of_the_study_and_what_was_held_given_back()
    expect_votes_and_finals_as_they_would_be_now()


def expect_one_stratum_that_grows_as_before():
    draw = Draw.objects.get(study__slug="tiny")
    assert (draw.purpose, draw.seed, draw.raters_per_item) == ("slot", 7, 2)
    strata = draw.strata.values_list("name", "position", "rule", "probability")
    assert list(strata) == [("all", 1, {}, 0.4)]
    assert set(draw.framed.values_list("stratum", "probability")) == {("all", 0.4)}
    assert draw.framed.drawn().count() == draw.framed.count() == 4
    extend_draws(draw.study)  # what was not drawn lies in the frame from now on
    assert draw.framed.count() == 6
    builders.draw(draw.study, share=1, per_item=2, seed=7)
    assert draw.study.assignments.filter(slot__isnull=False).count() == 12
    assert draw.framed.drawn().count() == 6


def expect_places_of_the_study_and_what_was_held_given_back():
    of_study = Assignment.objects.filter(study__slug="tiny")
    assert set(of_study.values_list("item__study__slug", flat=True)) == {"tiny"}
    states = of_study.order_by("item__response__epoch", "slot").values_list(
        "item__key", "state", "rater__name"
    )
    assert list(states) == [
        ("tiny-1", "done", "ann"),
        ("tiny-1", "done", "ben"),
        ("tiny-2", "done", "ann"),
        ("tiny-2", "open", None),
        ("tiny-3", "open", None),
        ("tiny-3", "open", None),
        ("tiny-4", "open", None),
        ("tiny-4", "open", None),
    ]


def expect_votes_and_finals_as_they_would_be_now():
    study = Study.objects.get(slug="tiny")
    yes = study.scheme.labels.get(key="yes")
    kept = list(
        study.items.order_by("pk").values_list("human_votes", "judge_votes", "humans_split", "judges_split")
    )
    assert kept == [
        (2, 2, True, False),
        (1, 2, False, True),
        (0, 2, False, False),
        (0, 2, False, True),
        (0, 0, False, False),
        (0, 0, False, False),
    ]
    by_migration = list(
        study.items.order_by("pk").values_list("pk", *KeptVotes._fields, "final", "final_rule")
    )
    assert [row[-1] for row in by_migration] == ["majority", "tie", "", "", "", ""]
    assert [row[-2] for row in by_migration] == [yes.pk, None, None, None, None, None]
    rebuild(study)
    rebuild_finals(study)
    assert (
        list(study.items.order_by("pk").values_list("pk", *KeptVotes._fields, "final", "final_rule"))
        == by_migration
    )


def expect_what_was_labelled_to_be_done_and_undone_by_u():
    ann, ben = Rater.objects.get(name="ann"), Rater.objects.get(name="ben")
    study = Study.objects.get(slug="tiny")
    served = study.servings.order_by("item__response__epoch", "rater__name").values_list(
        "item__key", "rater__name", "revision", "purpose"
    )
    assert list(served) == [
        ("tiny-1", "ann", 1, "slot"),
        ("tiny-1", "ben", 2, "slot"),
        ("tiny-2", "ann", 1, "slot"),
    ]
    assert not Serving.objects.filter(answered_at=None).exists()
    enrolled = Enrolment.objects.filter(study=study).order_by("rater__name")
    counts = enrolled.values_list("rater__name", "done", "skipped", "served")
    assert list(counts) == [("ann", 2, 1, 3), ("ben", 1, 0, 1), ("cleo", 0, 1, 1)]
    last = last_answered(study, ben)
    assert answer_in(last) == {
        "label": "no",
        "confidence": 2,
        "note": "On reflection.",
        "flagged": False,
        "answers": {},
        "evidence": [{"start": 0, "end": 1}],
    }
    changed = builders.label(last, "yes")
    assert (changed.revision, changed.surplus) == (3, False)
    assert not Item.objects.get(key="tiny-1").humans_split
    assert last_answered(study, ann).shown["fields"] == ["task"]


def test_work_goes_on_and_every_item_gets_its_raters(upgraded):
    expect_what_was_labelled_to_be_done_and_undone_by_u()
    study = Study.objects.get(slug="tiny")
    for name in ("ann", "ben", "cleo"):
        rater = Rater.objects.get(name=name)
        while serving := builders.take(study, rater):
            builders.label(serving, "yes")
    states = study.assignments.values_list("item__key", "state", "rater__name")
    assert {row[1] for row in states} == {"done"}
    assert len(set(states)) == 8  # no rater twice on one
    items = study.items.order_by("response__epoch")
    assert [item.human_votes for item in items] == [2, 2, 2, 2, 0, 0]
    assert not Rating.objects.filter(item__key="tiny-3", rater__name="ann").exists()  # who skipped it
    assert settle(study)["open"] <= 6
    expect_one_stratum_that_grows_as_before()


def told_apart(one, two):
    account = one.make("auth.User", username="dora")  # of both studies, as a name in a file would not be
    dora = one.make("annotation.Rater", name="dora", kind="human", user=account)
    for old, count in ((one, 1), (two, 2)):
        old.draw()
        for place in range(count):
            old.place(place, 1, dora, "done")
            old.rate(place, dora, old.yes)


def test_studies_are_told_apart(upgraded):
    counted = (
        Enrolment.objects.filter(rater__name="dora")
        .order_by("study__slug")
        .values_list("study__slug", "done")
    )
    assert list(counted) == [("one", 1), ("two", 2)]
    assert Assignment.objects.filter(study__slug="one").count() == 8
    assert Serving.objects.filter(study__slug="two", item__study__slug="two").count() == 2


def gold_from_files(old):
    gil = old.rater("gil")
    rows = [("imported", None), ("single", None), ("adjudicated", None), ("single", gil), ("consensus", None)]
    for place, (origin, author) in enumerate(rows):
        old.make("annotation.Gold", item=old.items[place], label=old.yes, origin=origin, author=author)


def test_gold_from_files_is_told_by_its_author(upgraded):
    golds = Gold.objects.order_by("item__response__epoch")
    assert list(golds.values_list("from_file", flat=True)) == [True, True, True, False, False]


# Names of people whom files named were shared between studies


@pytest.fixture(scope="module")
def parted(django_db_setup, django_db_blocker):
    """Fill the tables from when an imported name was one person everywhere, and bring them up to date once;
    yield what was told of the names before."""
    with django_db_blocker.unblock(), as_of("raters-shared-by-studies") as apps:
        told = one_person_in_three([Sharing(apps, slug) for slug in ("one", "two", "three")])
        an_account_and_a_file(apps, Sharing(apps, "four"), Sharing(apps, "five"))
        names_in_two_cases(Sharing(apps, "six"))
        upgrade()
        yield told


class Sharing(Old):
    def rate(self, place, rater, label, **fields):
        fields = {"shown": {"imported": True}, **fields}
        rating = super().rate(place, rater, label, **fields)
        item = self.items[place]
        votes = sorted(
            [*item.votes.split(), f"{rater.pk}:{label.pk}"], key=lambda vote: int(vote.split(":")[0])
        )
        item.votes = " ".join(votes)
        item.save()
        return rating

    def gold(self, place, **fields):
        return self.make("annotation.Gold", item=self.items[place], label=self.yes, **fields)


def one_person_in_three(studies):
    one, two, _ = studies
    ann, careful = one.rater("ann"), one.rater("careful", "judge")
    for old in studies:
        old.rate(0, ann, old.yes)
        old.rate(0, careful, old.no)
        old.rate(1, ann, old.no)
    gold = two.gold(2, origin="single", author=ann)
    pseudonyms = {old.study.slug: pseudonym(old.study, ann_as(ann)) for old in studies}
    return {"ann": ann.pk, "gold": gold.pk, "pseudonyms": pseudonyms}


def test_a_person_whom_files_named_in_several_studies_becomes_one_a_study(parted):
    raters = list(Rater.objects.filter(name="ann").order_by("pk"))
    assert [(rater.study.slug, rater.known_as) for rater in raters] == [
        ("one", None),
        ("two", parted["ann"]),
        ("three", parted["ann"]),
    ]
    for rater in raters:
        assert {rating.item.study_id for rating in rater.ratings.all()} == {
            rater.study_id
        } and rater.ratings.count() == 2
        assert pseudonym(rater.study, rater) == parted["pseudonyms"][rater.study.slug]
    assert Rater.objects.get(name="careful").ratings.count() == 3
    assert Gold.objects.get(pk=parted["gold"]).author == raters[1]
    for study in Study.objects.filter(slug__in=["one", "two", "three"]):
        kept = list(study.items.order_by("pk").values_list(*KeptVotes._fields))
        assert len(kept[0][0].split()) == 2
        rebuild(study)
        assert [row[0] for row in study.items.order_by("pk").values_list(*KeptVotes._fields)] == [
            row[0] for row in kept
        ]


def ann_as(old):
    return Rater(pk=old.pk, name=old.name, kind="human")


def an_account_and_a_file(apps, four, five):
    user = apps.get_model("auth.User").objects.create(username="bea")
    bea = four.make("annotation.Rater", name="bea", kind="human", user=user)
    four.rate(0, bea, four.yes, shown={})
    five.rate(0, bea, five.no)


def test_an_account_keeps_what_it_typed_and_a_file_of_another_study_does_not_speak_for_it(parted):
    account, named = Rater.objects.get(user__username="bea"), Rater.objects.get(study__slug="five")
    assert account.study is None and [rating.item.study.slug for rating in account.ratings.all()] == ["four"]
    assert named.name == "bea" and [rating.item.study.slug for rating in named.ratings.all()] == ["five"]


def names_in_two_cases(old):
    for name in ("Jos\u00e9", "JOSE\u0301"):
        old.rate(0, old.rater(name), old.yes)
    for name, version in [("GPT", 1), ("gpt", 1), ("GPT", 2), ("gpt", 2)]:
        old.rater(name, "judge", version)
    for name in ("M", "m"):
        old.make("benchmark.SubjectModel", name=name)
    for number, level in enumerate(("High", "high")):
        old.make("benchmark.Condition", name=level, factors={"pressure": level}, content_hash=str(number))


def test_names_that_differ_in_case_stay_apart(parted):
    forms = dict(Rater.objects.values_list("name", "folded"))
    assert forms["Jos\u00e9"] == "jos\u00e9" and forms["JOSE\u0301"].startswith("jos\u00e9\n")
    assert forms["GPT"] == "gpt" and forms["gpt"].startswith("gpt\n")
    assert Rater.objects.filter(name="gpt").values("folded").distinct().count() == 1
    assert SubjectModel.objects.called("M").name == "M" and SubjectModel.objects.called("m").name == "m"
    assert Condition.objects.filter(name__in=["High", "high"]).values("folded_hash").distinct().count() == 2
    study = Study.objects.get(slug="six")
    assert rater_named("jose\u0301", "human", study=study).name == "Jos\u00e9"
    assert rater_named("JOSE\u0301", "human", study=study).name == "JOSE\u0301"
