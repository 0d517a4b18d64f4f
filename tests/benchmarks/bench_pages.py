"""The server's time for every page of owners and adjudicators, in a study of 100,000 items with 300,000
labels of 20 people.

What a page loads after itself is measured by itself. Nothing is remembered from one look to the next: a
page's slowest look is one after its figures ran out.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from django.core.cache import cache
from django.test import Client

from annotation.models import Item, Membership, Study
from judging.settlement.disputes import disputes
from tests.benchmarks.figures import Measurement
from tests.benchmarks.labelled import RARE, LabelledStudy, labelled_study

LOOKS = 5
MOST = 300.0  # ms
SLOW = {"people: figures of all votes"}  # loaded after the page, kept for a minute
FILTERS = {
    "first page": {},
    "model": {"model": "MODEL-1"},
    "condition": {"condition": "watched"},
    "category": {"category": "Alpha"},
    "stratum": {"stratum": "alpha"},
    "unlabelled": {"status": "unlabelled"},
    "in work": {"status": "in-work"},
    "labelled": {"status": "labelled"},
    "disputed": {"status": "disputed"},
    "settled": {"status": "settled"},
    "adjudicated": {"status": "adjudicated"},
    "gold": {"status": "gold"},
    "final label": {"label": "final:convergence"},
    "any label": {"label": "any:safety_refusal"},
    "people differ": {"split": "humans"},
    "judges differ": {"split": "judges"},
    "people against judges": {"split": "between"},
    "controls": {"control": "only"},
    "a rare combination": {
        "model": "MODEL-3",
        "condition": "steered",
        "split": "humans",
        "status": "gold",
        "label": "final:no_convergence",
    },
    "a rare word": {"q": RARE},
    "a word nobody wrote": {"q": "no such word at all"},
    "a rare word, filtered": {"q": RARE, "split": "judges", "category": "Beta"},
}


def measure(folder: Path) -> Iterator[Measurement]:
    made = labelled_study()
    client = Client()
    client.force_login(made.owner)
    for name, address, query in pages(made):
        times = [milliseconds(client, address, query) for _ in range(LOOKS)]
        most = None if name in SLOW else MOST
        yield Measurement(f"pages: {name}, median", median(times), "ms", at_most=most)
        yield Measurement(f"pages: {name}, slowest", max(times), "ms", at_most=most)


def pages(made: LabelledStudy) -> Iterator[tuple[str, str, dict[str, str]]]:
    home = f"/studies/{made.study.slug}"
    item, disputed = busiest(made.study), disputes(made.study)[100]
    member = Membership.objects.filter(study=made.study, role="rater").first()
    assert member
    yield "overview", f"{home}/", {}
    for name, query in FILTERS.items():
        named = {key: value.replace("MODEL", f"{made.study.slug}-model") for key, value in query.items()}
        yield f"items, {name}", f"{home}/items/", named
    after = str(made.study.items.order_by("pk")[90_000].pk)
    yield "items, a late page", f"{home}/items/", {"after": after}
    yield "an item", f"{home}/items/{item.key}", {}
    yield "labelling", f"{home}/labelling/", {}
    for part in ("strata", "categories", "nonresponse"):
        yield f"labelling: {part}", f"{home}/labelling/by/{part}", {}
    yield "labelling: flagged", f"{home}/labelling/flagged", {}
    yield "people", f"{home}/people", {}
    yield "people: figures of all votes", f"{home}/people", {"figures": "1"}
    yield "people: one rater", f"{home}/people/{member.pk}", {}
    yield "gold", f"{home}/gold/", {}
    yield "adjudicate", f"{home}/adjudicate/", {}
    yield "adjudicate, an item", f"{home}/adjudicate/{disputed.key}", {}


def busiest(study: Study) -> Item:
    item = study.items.filter(humans_split=True, golds__isnull=False).first()
    assert item
    return item


def milliseconds(client: Client, address: str, query: dict[str, str]) -> float:
    cache.clear()
    clock = perf_counter()
    answer = client.get(address, query)
    taken = (perf_counter() - clock) * 1000
    assert answer.status_code == 200, (address, answer.status_code)
    return taken
