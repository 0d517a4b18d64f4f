"""Agreement of 50 raters on 1,000,000 items, from counts: alpha beside krippendorff on the same run's value
counts, and 1,000 resamples with every coefficient; then the tab of a study of 100,000 items and 8 raters,
cold and warm; then a crowd of 123 raters.

A study's counts are its distinct patterns of counts with how many items have each, which is what one GROUP BY
gives.
"""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time

import krippendorff
import numpy as np
import numpy.typing as npt
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client

from annotation.models import Item, Label, Membership, Rater, Rating, Study
from arbiter.analysis.agreement.coefficients import agreement
from arbiter.core.bulkinsert import insert
from arbiter.statistics import agreement_estimates, krippendorff_alpha
from judging.votes.counting import merge_rows
from tests.benchmarks.figures import Measurement
from tests.benchmarks.judged import study_of

RATERS, ITEMS, LABELS, TASKS = 50, 1_000_000, 4, 76
ROUNDS = 5
STUDY_ITEMS, PEOPLE, JUDGES = 100_000, 3, 5
CROWD, CROWD_ITEMS = 123, 350
AT_ONCE = 5000
Ints = npt.NDArray[np.int64]


def measure(folder: Path) -> Iterator[Measurement]:
    counts, tasks = given()
    patterns, items = merge_rows(counts, np.ones(ITEMS, dtype=np.int64))
    ours, theirs = zip(*(alphas(counts, patterns, items) for _ in range(ROUNDS)), strict=True)
    yield Measurement("agreement: count patterns of 50 x 1,000,000", len(patterns), "patterns")
    yield Measurement("agreement: alpha from patterns", min(ours), "s")
    yield Measurement("agreement: krippendorff on value counts", min(theirs), "s")
    yield Measurement("agreement: the first over the second", min(ours) / min(theirs), "times", at_most=1)
    yield Measurement("agreement: alpha from a row an item", least(lambda: krippendorff_alpha(counts)), "s")
    by_task, numbers = merge_rows(np.column_stack([counts, tasks]), np.ones(ITEMS, dtype=np.int64))

    def of_tasks() -> object:
        return agreement_estimates(by_task[:, :LABELS], numbers, by_task[:, LABELS])

    yield Measurement(
        "agreement: 1,000 resamples of tasks, all coefficients", least(of_tasks), "s", at_most=1.5
    )
    by_item = least(lambda: agreement_estimates(patterns, items))
    yield Measurement("agreement: 1,000 resamples of items, all coefficients", by_item, "s")
    some = 100_000
    lone = least(lambda: agreement_estimates(counts[:some], np.ones(some, dtype=np.int64), np.arange(some)))
    yield Measurement(f"agreement: 1,000 resamples of {some:,} tasks of an item each", lone, "s", at_most=6)
    yield from pages()
    yield from crowd()


def crowd() -> Iterator[Measurement]:
    """Measure many raters who all label the same few items, as crowds do: their pairs are more than their
    labels."""
    study = study_of(CROWD_ITEMS)
    raters = [Rater.objects.create(name=f"{study.slug}-{number}", kind="human") for number in range(CROWD)]
    label(
        list(study.items.order_by("pk")),
        raters,
        list(study.scheme.labels.all()),
        np.random.default_rng(3),
        repeats=False,
    )
    for name, wanted in (("", None), (", with all pairs", True)):
        tracemalloc.start()
        clock = process_time()
        figures = agreement(study, pairs=wanted)
        spent, (_, peak) = process_time() - clock, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size = len(json.dumps(figures)) / 1e6
        asked = {"at_most": 10.0} if wanted is None else {}
        yield Measurement(
            f"agreement: {CROWD} raters on {CROWD_ITEMS} items{name}", spent, "s of CPU", **asked
        )
        yield Measurement(
            f"agreement: its JSON{name}", size, "MB", **({"at_most": 2.0} if wanted is None else {})
        )
        yield Measurement(f"agreement: its memory{name}", peak / 1e6, "MB")


def given() -> tuple[Ints, Ints]:
    """Draw labels of raters who are right seven times in ten, a tenth missing; items go round the tasks."""
    random = np.random.default_rng(1)
    truth = random.choice(LABELS, ITEMS, p=[0.3, 0.5, 0.15, 0.05])
    chances = np.full((ITEMS, LABELS), 0.3 / LABELS)
    chances[np.arange(ITEMS), truth] += 0.7
    counts = random.multinomial(random.binomial(RATERS, 0.9, ITEMS), chances)
    return counts, np.arange(ITEMS) % TASKS


def alphas(counts: Ints, patterns: Ints, items: Ints) -> tuple[float, float]:
    """Return the seconds that each takes, one after the other so that both meet the same machine."""
    clock = perf_counter()
    ours = krippendorff_alpha(patterns, items)
    between = perf_counter()
    theirs = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert abs(ours - theirs) < 1e-9
    return between - clock, perf_counter() - between


def least(work: Callable[[], object]) -> float:
    """Return the least of a few times: whatever else the machine does only adds."""
    times = []
    for _ in range(3):
        clock = perf_counter()
        work()
        times.append(perf_counter() - clock)
    return min(times)


def pages() -> Iterator[Measurement]:
    study, owner = labelled()
    client = Client()
    client.force_login(owner)
    client.get("/")  # what a process loads with its first page
    cold, warm = [], []
    for _ in range(3):
        cache.clear()
        cold.append(seconds(client, study))
        warm.append(seconds(client, study))
    yield Measurement("agreement: the tab, cold", min(cold), "s", at_most=3)
    yield Measurement("agreement: the tab, warm", max(warm) * 1000, "ms", at_most=500)


def seconds(client: Client, study: Study) -> float:
    clock = perf_counter()
    answer = client.get(f"/studies/{study.slug}/agreement")
    assert answer.status_code == 200 and b"Every coefficient" in answer.content
    return perf_counter() - clock


def labelled() -> tuple[Study, User]:
    """Label as three people, who miss a tenth, and five judges.

    One in twenty items was given to each person again, and one judge was asked about one in fifty twice.
    """
    study = study_of(STUDY_ITEMS)
    owner = User.objects.create_user(f"{study.slug}-owner")
    Membership.objects.create(study=study, user=owner, role="owner")
    raters = [
        Rater.objects.create(name=f"{study.slug}-{kind}-{number}", kind=kind)
        for kind, count in (("human", PEOPLE), ("judge", JUDGES))
        for number in range(count)
    ]
    labels = list(study.scheme.labels.all())
    random = np.random.default_rng(2)
    items = list(study.items.order_by("pk"))
    for start in range(0, STUDY_ITEMS, AT_ONCE):
        label(items[start : start + AT_ONCE], raters, labels, random)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # which PostgreSQL does by itself within a minute or two
    return study, owner


def label(
    items: list[Item],
    raters: list[Rater],
    labels: list[Label],
    random: np.random.Generator,
    repeats: bool = True,
) -> None:
    truth = random.choice(LABELS, len(items), p=[0.3, 0.5, 0.15, 0.05])
    right = random.random((len(raters), len(items))) < 0.8
    given = np.where(right, truth, random.integers(0, LABELS, right.shape))
    missing = (random.random(right.shape) < 0.1) & (np.arange(len(raters)) < PEOPLE)[:, np.newaxis]
    rows = []
    for place, item in enumerate(items):
        votes = [
            (rater, int(given[row, place])) for row, rater in enumerate(raters) if not missing[row, place]
        ]
        item.votes = " ".join(f"{rater.pk}:{labels[one].pk}" for rater, one in votes)
        rows += [Rating(item=item, rater=rater, label=labels[one]) for rater, one in votes]
        for rater, one in votes if repeats else ():
            human = rater.kind == Rater.Kind.HUMAN
            if (human and place % 20 == 0) or (rater == raters[-1] and place % 50 == 0):
                again = labels[one if random.random() < 0.9 else (one + 1) % LABELS]
                purpose = "repeat" if human else "slot"
                rows.append(Rating(item=item, rater=rater, label=again, ordinal=1, purpose=purpose))
    insert(rows)
    Item.objects.bulk_update(items, ["votes"], batch_size=500)
