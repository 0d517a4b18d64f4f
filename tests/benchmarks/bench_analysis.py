"""The server's time for every page of results, in a study of 100,000 items and 8 raters with gold drawn:
cold, with nothing kept from before, and warm, as a page is that somebody has just looked at."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.draws import plan_draw
from annotation.humanplan import GoldDrawSpec
from annotation.models import Draw, Gold, Rating
from arbiter.analysis.report.studyreport import write_report
from arbiter.core.bulkinsert import insert
from benchmark.models import Endpoint
from judging.models import Attempt, Judge, StudyJudge, Verdict
from tests.benchmarks.figures import Measurement
from tests.benchmarks.labelled import LabelledStudy, labelled_study
from tests.databases import remove

PEOPLE, GOLD, WRONG = 5, 2000, 0.1  # with three judges there are eight raters
COLD, WARM, LOOKS = 3000.0, 500.0, 5  # ms
AT_ONCE = 5000
TABS = (
    "study",
    "study-agreement",
    "study-judges",
    "study-biases",
    "study-rates",
    "study-settlement",
    "study-costs",
    "study-plan",
    "study-plan-before",
)


def measure(folder: Path) -> Iterator[Measurement]:
    made = analysed_study()
    client = Client()
    client.force_login(made.owner)
    for name, address in tabs(made):
        cache.clear()
        yield Measurement(f"analysis: {name}, cold", milliseconds(client, address), "ms", at_most=COLD)
        times = [milliseconds(client, address) for _ in range(LOOKS)]
        yield Measurement(f"analysis: {name}, warm", median(times), "ms", at_most=WARM)
    cache.clear()  # no tab: it works out all of them at once
    for warmth in ("cold", "warm"):
        clock = perf_counter()
        write_report(made.study, folder / "report.html")
        yield Measurement(f"analysis: the report, {warmth}", (perf_counter() - clock) * 1000, "ms")


def tabs(made: LabelledStudy) -> Iterator[tuple[str, str]]:
    for name in TABS:
        yield name, reverse(name, args=[made.study.slug])
    yield "judge-page", reverse("judge-page", args=[made.study.slug, made.judges[0].pk])


def milliseconds(client: Client, address: str) -> float:
    clock = perf_counter()
    answer = client.get(address)
    taken = (perf_counter() - clock) * 1000
    assert answer.status_code == 200, (address, answer.status_code)
    return taken


def analysed_study(items: int = 100_000, gold: int = GOLD) -> LabelledStudy:
    made = labelled_study(items, PEOPLE)
    _calls(made)
    draw_gold(made, gold)
    return made


def draw_gold(made: LabelledStudy, budget: int) -> None:
    """Draw gold by disagreement, all of it labelled: as the last judge says, but for some."""
    remove(Gold.objects.filter(item__study=made.study))
    plan = GoldDrawSpec.model_validate({"budget": budget})
    draw = plan_draw(made.study, plan, name="gold", purpose="gold", now=True)
    assert isinstance(draw, Draw)
    said = dict(
        Rating.objects.filter(rater=made.judges[-1], item__in=draw.framed.drawn().values("item")).values_list(
            "item", "label"
        )
    )
    chance = random.Random(3)
    insert(
        [
            Gold(
                item_id=item,
                label_id=chance.choice(made.labels).pk if chance.random() < WRONG else label,
                origin="single",
                draw=draw,
                author=made.people[0],
            )
            for item, label in said.items()
        ]
    )


def _calls(made: LabelledStudy) -> None:
    """Write the judges' verdicts, and the call each took."""
    at = Endpoint.objects.create(name=f"{made.study.slug}-at", base_url="http://127.0.0.1:1/v1")
    for rater in made.judges:
        judge = Judge.objects.create(
            rater=rater, endpoint=at, model="m", template_name="rubric", template_text="Judge it."
        )
        asked = StudyJudge.objects.create(study=made.study, judge=judge, input_price=10, output_price=40)
        ratings = list(Rating.objects.filter(rater=rater, item__study=made.study).values_list("pk", "item"))
        for start in range(0, len(ratings), AT_ONCE):
            now = timezone.now()
            verdicts = [
                Verdict(item_id=item, study_judge=asked, state="done", rating_id=rating, finished_at=now)
                for rating, item in ratings[start : start + AT_ONCE]
            ]
            insert(verdicts)
            insert([_call(one) for one in verdicts])
        StudyJudge.objects.filter(pk=asked.pk).update(
            calls=len(ratings),
            prompt_tokens=800 * len(ratings),
            completion_tokens=90 * len(ratings),
            cost=11_600 * len(ratings),
        )


def _call(verdict: Verdict) -> Attempt:
    return Attempt(
        uid=uuid.uuid4(),
        verdict=verdict,
        study_judge=verdict.study_judge,
        outcome="answer",
        started_at=timezone.now(),
        latency=0.5,
        cache_key="k",
        request_hash="h",
        marker="RESPONSE-0",
        prompt_tokens=800,
        completion_tokens=90,
        cost=11_600,
    )
