"""How a study is settled: the state of all items, the version that made it, what changed, and what to do
next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Subquery

from annotation.models import Gold, Rating, Study
from arbiter.analysis.steps import Step, StepPlace
from judging.models import Settlement, SettlementVersion
from judging.settlement.auditing import Audit, audit
from judging.settlement.disputes import disputes
from judging.settlement.rules import OPEN
from judging.votes.kept_figures import kept

Rule = Settlement.Rule
LISTED = 12  # versions
RULES_IN_WORDS = {
    Rule.ADJUDICATED: "an adjudicator decided",
    Rule.GOLD: "gold decided",
    Rule.UNANIMOUS: "all voters agree",
    Rule.MAJORITY: "by majority",
    Rule.WEIGHTED: "by weighted votes",
    Rule.MODEL: "posterior high enough",
    Rule.TIE: "voters tied",
    Rule.SPLIT: "voters not unanimous",
    Rule.UNSURE: "posterior too low, or not backed by gold",
    Rule.UNLABELLED: "nobody voted",
}
QUEUES = {Rule.TIE: "tie", Rule.SPLIT: "split", Rule.UNSURE: "unsure"}


@dataclass(frozen=True)
class RuleCount:
    rule: str
    words: str
    items: int
    queue: str = ""  # its kind in the adjudication room


@dataclass(frozen=True)
class LabelMove:
    source: str
    target: str
    items: int
    first: Sequence[str]


def settlement_counts(study: Study) -> dict[str, int]:
    """Count the study's items by rule, as they keep it of their newest settlement."""
    rows = study.items.exclude(final_rule="").order_by().values_list("final_rule")
    return dict(rows.annotate(Count("pk")))


def settlement_state(study: Study) -> dict[str, Any]:
    versions = list(study.settlement_versions.select_related("by").order_by("-number")[: LISTED + 1])
    last = versions[0] if versions else None
    rules = settlement_counts(study)
    kept_audit: dict[str, Any] = kept(study, "audit", "", lambda: {"audit": audit(study)})
    return {
        "settled": [
            RuleCount(rule, words, rules[rule])
            for rule, words in RULES_IN_WORDS.items()
            if rule in rules and rule not in OPEN
        ],
        "open": [
            RuleCount(rule, RULES_IN_WORDS[rule], rules[rule], QUEUES.get(rule, ""))
            for rule in OPEN
            if rule in rules
        ],
        "settled_items": sum(n for rule, n in rules.items() if rule not in OPEN),
        "open_items": sum(n for rule, n in rules.items() if rule in OPEN),
        "version": last,
        "fit": {"error": None, **(last.fit if last else {})},
        "versions": [listed_version(one) for one in versions[:LISTED]],
        "older": len(versions) > LISTED,
        "moved": label_moves(study, last),
        "audit": kept_audit["audit"],
        "steps": list(settlement_steps(study, last, rules, kept_audit["audit"])),
    }


def listed_version(version: SettlementVersion) -> dict[str, Any]:
    changes = version.changes
    return {
        "number": version.number,
        "at": version.created_at,
        "rule": version.rule,
        "by": version.by,
        "threshold": version.options.get("threshold"),
        "new": changes.get("new"),
        "error": version.fit.get("error"),
        "relabelled": sum(row["items"] for row in changes["moved"]) if "moved" in changes else None,
        "hash": version.inputs_hash,
    }


def label_moves(study: Study, version: SettlementVersion | None) -> list[LabelMove]:
    titles = dict(study.scheme.labels.values_list("key", "title")) | {"": "Open"}
    rows = version.changes.get("moved", []) if version else []
    moves = [
        LabelMove(
            titles.get(row["from"], row["from"]), titles.get(row["to"], row["to"]), row["items"], row["first"]
        )
        for row in rows
    ]
    return sorted(moves, key=lambda one: -one.items)


def settlement_steps(
    study: Study, version: SettlementVersion | None, rules: Mapping[str, int], audited: Audit | None
) -> Iterator[Step]:
    """Yield what to do next, in the order of how much depends on it."""
    if not rules:
        yield Step("Nothing is settled yet: choose a rule below.")
        return
    fit: Mapping[str, Any] = version.fit if version else {}
    if version and version.rule == Rule.MODEL and not fit.get("calibrated", True):
        yield Step(fit["reason"], StepPlace.GOLD)
    if version and added_since(study, version):
        yield Step("Labels or gold have been added since: settle again.")
    waiting = kept(study, "disputes", "", lambda: disputes(study).count())
    if waiting:
        yield Step(
            (
                f"{waiting:,} item{'' if waiting == 1 else 's'} wait{'s' if waiting == 1 else ''} for an "
                "adjudicator, the most valuable first."
            ),
            StepPlace.ADJUDICATION,
        )
    if audited and audited.labelled + audited.undecided < audited.drawn:
        left = audited.drawn - audited.labelled - audited.undecided
        yield Step(
            (
                f"{left:,} of {audited.drawn:,} audited items wait for a rater; they are given out like any "
                "others."
            ),
            StepPlace.LABELLING,
        )
    if audited is None and any(
        rule in rules for rule in (Rule.UNANIMOUS, Rule.MAJORITY, Rule.WEIGHTED, Rule.MODEL)
    ):
        yield Step("Nobody checks what votes alone have settled: settle with an audit share.")
    if (
        version
        and version.rule != Rule.MODEL
        and fit.get("gold", 0) == 0
        and Gold.objects.filter(item__study=study).exists()
    ):
        yield Step("There is gold: the model can tell how sure each label is.")


def added_since(study: Study, version: SettlementVersion) -> bool:
    """Tell whether a vote or gold has come since this version. Votes of raters who check what is settled are
    such too."""

    tops = version.fit.get("newest", {})

    def look() -> bool:
        rows = (
            model.objects.filter(item__study=study, pk__gt=tops.get(model._meta.model_name) or 0)
            for model in (Rating, Gold)
        )
        return any(newer[:1].exists() for newer in rows)

    return kept(study, "since-settled", version.pk, look)


# What changed, item by item

COLUMNS = ("item", "task", "model", "condition", "from", "to", "rule", "posterior")


def label_changes(version: SettlementVersion) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each item whose label this settling changed, in the order of items; streamed."""
    before = Settlement.objects.filter(item=OuterRef("item"), revision=OuterRef("revision") - 1)
    rows = (
        version.settlements.filter(revision__gt=1)
        .annotate(was=Subquery(before.values("label__key")[:1]), was_id=Subquery(before.values("label")[:1]))
        .exclude(was_id__isnull=True, label__isnull=True)
        .exclude(was_id__isnull=False, label__isnull=False, was_id=F("label"))
        .order_by("item")
        .values_list(
            "item__key",
            "item__response__task__key",
            "item__response__run__subject__name",
            "item__response__run__condition__name",
            "was",
            "label__key",
            "rule",
            "posterior",
        )
    )
    for *named, was, now, rule, posterior in rows.iterator(chunk_size=2000):
        yield *named, was or "", now or "", rule, max(posterior.values(), default="")
