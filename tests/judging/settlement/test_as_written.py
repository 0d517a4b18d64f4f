"""What settlings write, held to what they wrote when `as_written.json` was made:
labels, posteriors, votes, hashes, versions.

Hashes are of labels' keys in the database, so labels get keys of their own here. To make the file anew,
delete it and run this.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotation.adjudication import adjudicate
from annotation.goldlabels import promote
from annotation.models import DrawnItem, Gold, Item, Label, Study
from annotation.schemes import builtin_scheme
from arbiter.core.text import digest
from judging.models import GoldSplit, Settlement
from judging.settlement.auditing import audit
from judging.settlement.settling import settle, settle_items
from tests import builders
from tests.judging.settled import panel

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
FILE = Path(__file__).with_name("as_written.json")
C, N, S, X = "convergence", "no_convergence", "safety_refusal", "nonsensical"
ROW = (
    "item_id",
    "revision",
    "label__key",
    "rule",
    "version__number",
    "posterior",
    "votes",
    "inputs_hash",
    "simulated",
)


@pytest.fixture(autouse=True)
def labels_with_known_keys(db):
    """Give the scheme's labels keys that are the same on every database, whatever tests ran before."""
    scheme = builtin_scheme("four-class")
    labels = list(scheme.labels.all())
    scheme.labels.all().delete()
    for label in labels:
        label.pk = 9000 + label.position
    Label.objects.bulk_create(labels)


def written(study: Study, told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that settling wrote; items by their place, since their keys are drawn at random."""
    place = {pk: number for number, pk in enumerate(study.items.order_by("pk").values_list("pk", flat=True))}
    by_key = {key: str(place[pk]) for pk, key in study.items.values_list("pk", "key")}
    settlements = Settlement.objects.filter(item__study=study).order_by("item", "revision").values_list(*ROW)
    rows = [[place[item], *rest] for item, *rest in settlements]
    alike = Counter(json.dumps(rest, sort_keys=True) for _, *rest in rows)
    versions = list(
        study.settlement_versions.values("number", "rule", "options", "fit", "changes", "inputs_hash")
    )
    for version in versions:  # these are keys of whatever else is in the database
        fit = {key: value for key, value in version["fit"].items() if key not in ("state", "newest")}
        version["fit"] = digest(json.dumps(fit, sort_keys=True))
        for move in version["changes"]["moved"]:
            move["first"] = [by_key[key] for key in move["first"]]
    finals = study.items.order_by("pk").values_list("final__key", "final_rule", "final_chance")
    return {
        "told": told,
        "settlements": [[count, *json.loads(one)] for one, count in sorted(alike.items())],
        "digest": digest(json.dumps(rows, sort_keys=True)),
        "finals": digest(json.dumps(list(finals))),
        "versions": versions,
    }


def gold(item: Item, label: str) -> None:
    Gold.objects.create(item=item, label=item.study.scheme.labels.get(key=label), origin="imported")


# Each makes a study and settles it, returning it with what settling said.


def counted(rule: str) -> tuple[Study, list[dict[str, Any]]]:
    """Settle ties, replaced judges, people, a surplus label, a decision, a simulated vote;
    then again with what came since."""
    study = builders.study(tasks=3, epochs=4)
    items = list(study.items.order_by("pk"))
    raters = [builders.rater(f"judge-{letter}") for letter in "abc"]
    second = type(raters[0]).objects.create(name="judge-c", folded="judge-c", version=2, kind="judge")
    ann, ben, ada = (builders.rater(name, "human") for name in ("ann", "ben", "ada"))
    for number, item in enumerate(items[:10]):
        builders.rate(item, raters[0], (C, N)[number % 2])
        builders.rate(item, raters[1], (C, N, S)[number % 3], simulated=number == 4)
        builders.rate(item, raters[2], X)
        if number % 4:
            builders.rate(item, second, C)
        builders.rate(item, ann, (C, C, N)[number % 3], surplus=number == 5)
    builders.rate(items[3], ann, X)
    builders.rate(items[6], ben, N, ordinal=1)
    adjudicate(items[1], ada, S, "See its end.")
    told = [settle(study, rule)]
    for item in items[4:8]:
        builders.rate(item, ben, N)
    adjudicate(items[2], ada, N, "See its beginning.")
    settle_items(study, [items[2].pk])
    told.append(settle(study, rule))
    return study, told


def of_named_voters() -> tuple[Study, list[dict[str, Any]]]:
    study, told = counted("majority")
    study.voters = ["judge-a", "judge-c@1", "humans"]
    study.save()
    return study, [*told, settle(study)]


def gold_decides(rule: str) -> tuple[Study, list[dict[str, Any]]]:
    study, told = counted("majority")
    study.gold_decides = True
    study.save()
    items = list(study.items.order_by("pk"))
    for item, label in zip(items[:11:2], (X, N, C, C, S, N), strict=True):
        gold(item, label)
    Gold.objects.create(item=items[4], label=study.scheme.labels.get(key=X), origin="withdrawn", revision=2)
    return study, [*told, settle(study, rule)]


def weighted() -> tuple[Study, list[dict[str, Any]]]:
    study, _ = panel()
    return study, [settle(study, "weighted")]


def model() -> tuple[Study, list[dict[str, Any]]]:
    """Settle with a sealed part, a decision between two settlings, an audit,
    and gold that decides in the end."""
    study, _ = panel(share=0.9)
    tasks = study.items.order_by("response__task").values_list("response__task", flat=True).distinct()
    GoldSplit.objects.create(study=study, parts={str(task): n % 4 == 0 for n, task in enumerate(tasks)})
    told = [settle(study, "majority"), settle(study, "model", threshold=0.85, audit_share=0.3)]
    items = list(study.items.order_by("pk"))
    adjudicate(items[7], builders.rater("ada", "human"), S, "See its end.")
    settle_items(study, [item.pk for item in items[5:9]])
    study.gold_decides = True
    study.save()
    return study, [*told, settle(study, "model", threshold=0.75)]


def promoted() -> tuple[Study, list[dict[str, Any]]]:
    """Settle where people's votes became gold: they are no evidence beside it."""
    study, true = panel(share=0)
    draw = builders.draw(study, share=0.5, per_item=1)
    people = [builders.rater(name, "human") for name in ("ann", "ben")]
    for one in draw.framed.drawn().select_related("item").order_by("item"):
        for rater in people:
            builders.rate(one.item, rater, true[one.item_id])
    study.assignments.all().delete()
    promote(study, "consensus")
    return study, [settle(study, rule, threshold=0.8) for rule in ("weighted", "model")]


STUDIES = {
    "majority": lambda: counted("majority"),
    "unanimous": lambda: counted("unanimous"),
    "named voters": of_named_voters,
    "gold decides, majority": lambda: gold_decides("majority"),
    "gold decides, weighted": lambda: gold_decides("weighted"),
    "weighted": weighted,
    "model": model,
    "promoted": promoted,
}


@pytest.mark.parametrize("name", STUDIES)
def test_settlings_write_what_they_always_wrote(name):
    study, told = STUDIES[name]()
    rows = json.loads(json.dumps(written(study, told)))
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    if name not in known:
        lines = [
            f"{json.dumps(key)}: {json.dumps(one, sort_keys=True)}"
            for key, one in {**known, name: rows}.items()
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert name in known, "written now: look at it and run this again"
    assert rows == known[name]


def test_an_audit_draws_and_finds_what_it_always_did():
    study, _ = model()
    drawn = list(DrawnItem.objects.drawn().filter(draw__name="audit").order_by("item").select_related("item"))
    assert (len(drawn), round(sum(one.number for one in drawn), 9)) == (44, 7.018337409)
    people = [builders.rater(name, "human") for name in ("ann", "ben")]
    for number, one in enumerate(drawn):
        for place, rater in enumerate(people):
            builders.rate(one.item, rater, (C, N)[(number * place) % 3 == 2], surplus=number % 5 == place)
    audited = audit(study)
    assert (audited.frame, audited.drawn, audited.labelled, audited.undecided, len(audited.items)) == (
        163,
        44,
        36,
        8,
        33,
    )
    assert (round(audited.wrong.estimate, 9), round(audited.role.estimate, 9)) == (0.916666667, 0.888888889)
