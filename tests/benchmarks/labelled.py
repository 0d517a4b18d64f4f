"""A study that people have labelled for two weeks, made by bulk insert: its votes, slots, servings, checks,
gold, disputes."""

import random
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from annotation.draws import plan_draw
from annotation.humanplan import HumansSpec
from annotation.models import (
    Assignment,
    Draw,
    DrawnItem,
    Enrolment,
    Gold,
    Item,
    Label,
    Membership,
    Rater,
    Rating,
    Serving,
    Skip,
    Study,
)
from annotation.schemes import builtin_scheme
from arbiter.core.bulkinsert import insert
from benchmark.models import Run, Suite
from judging.models import Settlement
from tests import builders
from tests.benchmarks.judged import prose, response

ITEMS, SLOTS, RATERS, TASKS = 100_000, 3, 20, 71
AT_ONCE = 5000
DAYS = 14
RARE = "zyzzogeton"  # a word of a handful of responses
SHOWN = {"blind": True, "fields": ["category", "task", "response"], "scheme": "four-class@1"}


@dataclass
class LabelledStudy:
    """The study and who is in it, with what the making of its rows needs."""

    study: Study
    owner: User
    people: list[Rater]
    judges: list[Rater]
    labels: list[Label]
    draw: Draw
    chance: random.Random


def labelled_study(items: int = ITEMS, raters: int = RATERS) -> LabelledStudy:
    made = _empty(f"labelled-{secrets.token_hex(3)}", raters)
    runs = _runs(made.study)
    words = [
        "".join(made.chance.choices("etaoinshrdlucmf", k=made.chance.randint(2, 9))) for _ in range(3000)
    ]
    for start in range(0, items, AT_ONCE):
        _batch(made, runs, words, start, min(start + AT_ONCE, items))
    _enrol(made)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # which PostgreSQL does by itself within a minute or two
    return made


def _empty(name: str, raters: int) -> LabelledStudy:
    builders.suite(name, TASKS)
    study = Study.objects.create(slug=name, title=name, scheme=builtin_scheme("four-class"))
    plan = HumansSpec.model_validate({"per_item": SLOTS, "strata": _strata()})
    study.humans = plan.model_dump(mode="json", exclude={"guidelines"})
    study.save()
    draw = plan_draw(study, plan, now=True)
    assert isinstance(draw, Draw)
    owner = User.objects.create_user(f"{name}-owner")
    Membership.objects.create(study=study, user=owner, role="owner")
    people = []
    for number in range(1, raters + 1):
        user = User.objects.create_user(f"{name}-{number}")
        Membership.objects.create(study=study, user=user, role="rater")
        people.append(Rater.objects.create(name=user.username, kind="human", user=user))
    judges = [Rater.objects.create(name=f"{name}-judge-{letter}", kind="judge") for letter in "abc"]
    return LabelledStudy(
        study, owner, people, judges, list(study.scheme.labels.all()), draw, random.Random(7)
    )


def _strata() -> list[dict[str, Any]]:
    return [
        {"name": "judges split", "where": {"judges": "split"}, "probability": 1.0},
        {"name": "alpha", "where": {"categories": ["Alpha"]}, "probability": 1.0},
        {"name": "the rest", "probability": 1.0},
    ]


def _runs(study: Study) -> list[Run]:
    suite = Suite.objects.get(slug=study.slug)
    return [
        builders.run(suite, f"{study.slug}-model-{subject}", under)
        for subject in range(4)
        for under in ("baseline", "steered", "watched")
    ]


def _batch(made: LabelledStudy, runs: list[Run], words: list[str], start: int, end: int) -> None:
    tasks = list(runs[0].suite.tasks.select_related("category"))
    chance = made.chance
    responses = []
    for number in range(start, end):
        text = prose(chance, words)
        if number % 20_011 == 9_999:
            text += f" {RARE}"
        task, rest = tasks[number % TASKS], number // TASKS
        responses.append(response(runs[rest % len(runs)], task, rest // len(runs) + 1, text))
    insert(responses)
    votes = [_votes(made, number) for number in range(start, end)]
    items = [
        _item(made, one, number, *cast)
        for number, (one, cast) in enumerate(zip(responses, votes, strict=True), start=start)
    ]
    insert(items)
    numbers = [chance.random() for _ in items]
    insert([_drawn(made, item, number) for item, number in zip(items, numbers, strict=True)])
    rows: dict[type, list[Any]] = {kind: [] for kind in (Rating, Assignment, Serving, Skip, Gold, Settlement)}
    for item, given, place in zip(items, votes, numbers, strict=True):
        _history(made, rows, item, given, place)
    for kind in (Rating, Assignment, Serving, Skip, Gold, Settlement):
        insert(rows[kind])


def _votes(made: LabelledStudy, number: int) -> tuple[list[tuple[Rater, Label]], list[tuple[Rater, Label]]]:
    """Draw what people and judges say: one item in twenty has people who differ, one in three a judge who
    does."""
    chance, labels = made.chance, made.labels
    common = labels[0] if chance.random() < 0.3 else labels[1]
    people = chance.sample(made.people, SLOTS)
    given = [(one, common) for one in people]
    if number % 20 == 3:
        given[-1] = (given[-1][0], labels[2])
    if number % 30 == 11:  # not all have come
        given.pop()
    judged = [(one, common) for one in made.judges]
    if chance.random() < 1 / 3:
        judged[0] = (judged[0][0], labels[2 if common != labels[2] else 0])
    return given, judged


def _item(made: LabelledStudy, of: Any, number: int, people: list[Any], judges: list[Any]) -> Item:
    cast = sorted((rater.pk, label.pk) for rater, label in [*people, *judges])
    tally = Counter(label for _, label in [*people, *judges])
    (top, count), *rest = tally.most_common(2)
    tie = bool(rest) and rest[0][1] == count
    return Item(
        study=made.study,
        response=of,
        votes=" ".join(f"{rater}:{label}" for rater, label in cast),
        human_votes=len(people),
        judge_votes=len(judges),
        humans_split=len({label for _, label in people}) > 1,
        judges_split=len({label for _, label in judges}) > 1,
        final=None if tie else top,
        final_rule="tie" if tie else "majority",
    )


def _drawn(made: LabelledStudy, item: Item, number: float) -> DrawnItem:
    alpha = item.response.task.category.title == "Alpha"
    stratum = "judges split" if item.judges_split else "alpha" if alpha else "the rest"
    return DrawnItem(draw=made.draw, item=item, stratum=stratum, probability=1.0, number=number)


def _history(made: LabelledStudy, rows: dict[type, list[Any]], item: Item, cast: Any, number: float) -> None:
    people, judges = cast
    chance, study = made.chance, made.study
    now = timezone.now()
    for slot, (rater, label) in enumerate(people, start=1):
        when = now - timedelta(seconds=chance.uniform(0, DAYS * 86400))
        rows[Rating].append(_rating(item, rater, label, when, chance))
        rows[Assignment].append(
            Assignment(study=study, item=item, rater=rater, slot=slot, number=number, state="done")
        )
        rows[Serving].append(_serving(study, item, rater, when, "slot"))
    for slot in range(len(people) + 1, SLOTS + 1):
        rows[Assignment].append(_unfilled(made, item, slot, number, [rater for rater, _ in people], now))
    for rater, label in judges:
        rows[Rating].append(Rating(item=item, rater=rater, label=label, shown=SHOWN, created_at=now))
    rows[Settlement].append(
        Settlement(item=item, rule=item.final_rule, label=item.final, inputs_hash="x" * 64)
    )
    others = [one for one in made.people if one not in [rater for rater, _ in people]]
    if chance.random() < 0.02:
        rows[Gold].append(Gold(item=item, label=judges[-1][1], origin="single", author=others[0]))
        when = now - timedelta(seconds=chance.uniform(0, DAYS * 86400))
        for rater in others[1:3]:
            rows[Rating].append(_rating(item, rater, judges[-1][1], when, chance, purpose="gold_check"))
            rows[Serving].append(_serving(study, item, rater, when, "gold_check"))
    if chance.random() < 0.02:
        rows[Skip].append(
            Skip(item=item, rater=others[-1], reason=chance.choice(["not my language", "too long"]))
        )
    if chance.random() < 0.01:
        rows[Rating].append(_rating(item, others[3 % len(others)], judges[-1][1], now, chance, surplus=True))


def _unfilled(
    made: LabelledStudy, item: Item, slot: int, number: float, had: list[Rater], now: datetime
) -> Assignment:
    place = Assignment(study=made.study, item=item, slot=slot, number=number)
    if made.chance.random() < 0.03:
        place.rater = next(one for one in made.people if one not in had)
        place.state, place.leased_until = Assignment.State.LEASED, now + timedelta(hours=1)
    return place


def _rating(
    item: Item, rater: Rater, label: Label, when: datetime, chance: random.Random, **fields: Any
) -> Rating:
    return Rating(
        item=item,
        rater=rater,
        label=label,
        confidence=chance.randint(1, 3),
        confidence_scale="steps3",
        shown=SHOWN,
        active_seconds=chance.lognormvariate(4, 0.5),
        flagged=chance.random() < 0.005,
        created_at=when,
        **fields,
    )


def _serving(study: Study, item: Item, rater: Rater, when: datetime, purpose: str) -> Serving:
    return Serving(
        study=study,
        item=item,
        rater=rater,
        purpose=purpose,
        shown=SHOWN,
        revision=1,
        answered_at=when,
        served_at=when,
    )


def _enrol(made: LabelledStudy) -> None:
    study, now = made.study, timezone.now()
    done = Counter(Serving.objects.filter(study=study).values_list("rater_id", flat=True))
    insert(
        [
            Enrolment(
                study=study,
                rater=one,
                done=done[one.pk],
                served=done[one.pk],
                consented_at=now,
                last_seen_at=now,
            )
            for one in made.people
        ]
    )
