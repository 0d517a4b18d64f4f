"""What the bias battery looks at, read from a study: kept votes and gold by GROUP BY, pairs of judges that
differ in one thing only."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Length

from annotation.models import Gold, Item, Label, Rater, Rating, Study
from annotation.raters import latest_raters, primary_raters
from arbiter.analysis.biases.evidence import AttackedCopies, BiasEvidence, GoldItems, Ints, Patterns, Twins
from arbiter.analysis.biases.golderrors import gold_error_note
from arbiter.analysis.humanerror import human_error_kept
from arbiter.core.text import how_many
from arbiter.statistics import HumanError
from benchmark.models import Condition, SubjectModel
from judging.models import Judge
from judging.votes.counting import VoteReader, Votes, group_names, scheme_labels, votes_of
from judging.votes.goldsample import GoldSample, gold_sample
from judging.votes.goldsplit import looks

INJECTION = "injection"  # the factor of a condition whose responses are copies with a passage injected
# What two judges must share to be one judge but for the field in question.
DEFINITION = (
    "endpoint_id",
    "model",
    "dialect",
    "json_schema",
    "template_text",
    "parameters",
    "mapping",
    "question",
    "label_order",
    "label_seed",
    "show_condition",
)
ORDER = {"label_order", "label_seed"}


@dataclass(frozen=True)
class GatheredEvidence:
    evidence: BiasEvidence
    simulated: frozenset[str]  # judges some of whose labels are simulated
    note: str  # which gold it is about, in a sentence


def gather_evidence(study: Study) -> GatheredEvidence:
    """Read what the battery looks at, of every judge's latest version; versions before it count as its twins,
    where they differ in one thing."""
    judges = [rater for rater in latest_raters(study) if rater.kind == Rater.Kind.JUDGE]
    labels = scheme_labels(study)
    attacks = attacked_conditions(study)
    votes = votes_of(study, ("task", "condition"), raters=judges, control=False)
    votes = votes.where(~np.isin(votes.groups["condition"], list(attacks)))
    sample, note = _gold(study, judges)
    people, _ = human_error_kept(study)
    every = {judge.rater_id: judge for judge in _judges(study)}
    opened, turned = list(_opened(study, every, attacks)), list(_turned(study, every, labels))
    places, unplaced = _places(study, [one for rater in judges if (one := every.get(rater.pk))], labels)
    evidence = BiasEvidence(
        judges=tuple(str(rater) for rater in judges),
        families=tuple(rater.family for rater in judges),
        labels=tuple(label.title for label in labels),
        target=np.asarray([label.role == Label.Role.TARGET for label in labels], dtype=bool),
        excluded=np.asarray([label.role == Label.Role.EXCLUDED for label in labels], dtype=bool),
        votes=_patterns(votes),
        gold=_gold_items(study, sample, attacks, people),
        categories=group_names(study, "category"),
        conditions={key: name for key, name in group_names(study, "condition").items() if key not in attacks},
        opened=opened,
        turned=turned,
        twins=_further({pk: one for pk, one in every.items() if one.rater in judges}),
        places=places,
        unplaced=unplaced,
        attacked=list(_attacked(study, judges, labels, attacks)),
    )
    return GatheredEvidence(
        evidence, _simulated(study, judges), f"{note} {gold_error_note(evidence)}".strip()
    )


def _patterns(votes: Votes) -> Patterns:
    return Patterns(votes.patterns, votes.counts, votes.groups["task"], votes.groups.get("condition"))


def _judges(study: Study) -> QuerySet[Judge]:
    return Judge.objects.filter(rater__in=primary_raters(study), question="").select_related("rater")


def _simulated(study: Study, judges: Sequence[Rater]) -> frozenset[str]:
    """Return the judges with a simulated label. They are looked up one by one: any one of a judge's labels
    will do."""
    return frozenset(
        str(rater)
        for rater in judges
        if Rating.objects.filter(item__study=study, rater=rater, simulated=True).exists()
    )


# Gold


def _gold(study: Study, judges: Sequence[Rater]) -> tuple[GoldSample, str]:
    """Return all gold of the main draw, or its tuning part where it is split and not every judge has been
    looked at in full; and a sentence that says which."""
    sample = gold_sample(study, raters=judges)
    note = f"Gold: {how_many(len(sample), 'item')}."
    if sample.sealed.any() and not {rater.pk for rater in judges} <= looks(study).raters:
        sample = sample.part(~sample.sealed)
        note = (
            f"Gold: the {how_many(len(sample), 'item')} of the tuning part, so the figures against gold are "
            "in-sample; the sealed part joins them when every judge's figures on it have been revealed."
        )
    if np.isnan(sample.weight).any():
        note += (
            " It came through no draw that says which items it stands for, so the figures against it are "
            "about these items alone."
        )
    return sample, note


def _gold_items(
    study: Study, sample: GoldSample, attacks: Mapping[int, str], people: HumanError | None
) -> GoldItems:
    kept = ~sample.control & ~np.isin(sample.groups["condition"], list(attacks))
    sample = sample.part(kept)
    families = dict(
        SubjectModel.objects.filter(runs__responses__items__study=study).values_list("pk", "family")
    )
    lengths = dict(
        Gold.objects.current_in(study)
        .order_by()
        .values_list("item")
        .annotate(length=Length("item__response__text"))
    )
    known = not np.isnan(sample.weight).any()
    return GoldItems(
        gold=sample.gold,
        votes=sample.votes,
        tasks=sample.groups["task"],
        categories=sample.groups["category"],
        families=np.asarray(
            [families.get(key, "") for key in sample.groups["subject"].tolist()], dtype=object
        ),
        lengths=np.asarray([lengths[key] for key in sample.items.tolist()], dtype=np.int64),
        weights=sample.weight if known else np.ones(len(sample)),
        single=sample.single,
        people=people,
    )


# Twins


def _twins(judges: Mapping[int, Judge], differing: set[str]) -> Iterator[tuple[Judge, Judge]]:
    """Yield each two judges that differ in these fields and in nothing else, in the order of their names."""
    groups: dict[str, list[Judge]] = defaultdict(list)
    for judge in judges.values():
        rest = [getattr(judge, name) for name in DEFINITION if name not in differing]
        groups[json.dumps(rest, sort_keys=True, default=str)].append(judge)
    for alike in groups.values():
        ordered = sorted(alike, key=lambda one: (one.rater.name, one.rater.version))
        for place, one in enumerate(ordered):
            for other in ordered[place + 1 :]:
                if any(getattr(one, name) != getattr(other, name) for name in differing):
                    yield one, other


def _further(judges: Mapping[int, Judge]) -> frozenset[str]:
    """Return those judges that are another one but for what they are shown: all but the plainest of each
    kind."""
    plain = {"show_condition", *ORDER}
    return frozenset(
        str(
            max(
                pair,
                key=lambda one: (one.show_condition, one.label_order != Judge.LabelOrder.SCHEME, str(one)),
            )
        )
        for pair in _twins(judges, plain)
    )


def _opened(study: Study, judges: Mapping[int, Judge], attacks: Mapping[int, str]) -> Iterator[Twins]:
    for one, other in _twins(judges, {"show_condition"}):
        blind, seeing = (other, one) if one.show_condition else (one, other)
        votes = votes_of(study, ("task", "condition"), raters=[blind.rater, seeing.rater], control=False)
        votes = votes.where(~np.isin(votes.groups["condition"], list(attacks)))
        yield Twins(str(blind), str(seeing), _patterns(votes))


def _turned(study: Study, judges: Mapping[int, Judge], labels: Sequence[Label]) -> Iterator[Twins]:
    """Yield each two judges that differ in the labels' order, with the retest noise of whichever of the two
    was asked again."""
    for one, other in _twins(judges, ORDER):
        for first, second in ((one, other), (other, one)):
            if first.repeats < 2:
                continue
            rows = _retested(study, first.rater, second.rater, labels)
            if len(rows.counts):
                yield Twins(str(first), str(second), rows)
                break


def _retested(study: Study, first: Rater, second: Rater, labels: Sequence[Label]) -> Patterns:
    """Return the first judge's label, the second's, and what the first gave when asked again, as patterns by
    task."""
    again = Rating.objects.repeated().filter(item=OuterRef("item"), rater=first).order_by("ordinal")
    turned = Rating.objects.votes().filter(item=OuterRef("item"), rater=second)
    rows = (
        Rating.objects.votes()
        .filter(item__study=study, rater=first)
        .annotate(again=Subquery(again.values("label")[:1]), turned=Subquery(turned.values("label")[:1]))
        .filter(again__isnull=False, turned__isnull=False)
        .order_by()
        .values_list("item__response__task", "label", "turned", "again")
        .annotate(Count("pk"))
    )
    return _table(rows, labels)


def _table(rows: QuerySet[Rating, tuple[int, ...]], labels: Sequence[Label]) -> Patterns:
    """Return rows of task, labels and count as patterns."""
    place = {label.pk: index for index, label in enumerate(labels)}
    table = [(task, *(place.get(label, -1) for label in keys), count) for task, *keys, count in rows]
    data = np.asarray(table, dtype=np.int64).reshape(len(table), -1 if table else 5)
    return Patterns(data[:, 1:-1], data[:, -1], data[:, 0])


# Places


def _places(
    study: Study, judges: Sequence[Judge], labels: Sequence[Label]
) -> tuple[dict[str, Ints], dict[str, str]]:
    """Count how many labels each judge took from each place of an order drawn for the item, as stored with
    its ratings; and say of which judges that can't be told."""
    keys = {label.pk: label.key for label in labels}
    places: dict[str, Ints] = {}
    unplaced: dict[str, str] = {}
    for judge in judges:
        if judge.label_order != Judge.LabelOrder.PERMUTED:
            continue
        if judge.mapping and len(set(judge.mapping.values())) < len(judge.mapping):
            unplaced[str(judge)] = (
                "several of its template's words stand for one label, so where a label stood isn't known."
            )
            continue
        counts = np.zeros(len(judge.mapping) or len(labels), dtype=np.int64)
        for order, label, number in _orders(study, judge.rater):
            shown = [judge.mapping.get(word, word) for word in json.loads(order)]
            if keys[label] in shown and len(shown) == len(counts):
                counts[shown.index(keys[label])] += number
        places[str(judge)] = counts
    return places, unplaced


def _orders(study: Study, rater: Rater) -> QuerySet[Rating, tuple[str, int, int]]:
    return (
        Rating.objects.votes()
        .filter(item__study=study, rater=rater, shown__has_key="label_order")
        .annotate(order=KT("shown__label_order"))
        .order_by()
        .values_list("order", "label")
        .annotate(Count("pk"))
    )


# Injected copies


def attacked_conditions(study: Study) -> dict[int, str]:
    """Return the conditions with a factor `injection`, and what it names."""
    conditions = Condition.objects.filter(runs__responses__items__study=study, factors__has_key=INJECTION)
    return {one.pk: str(one.factors[INJECTION]) for one in conditions.distinct()}


def original_of(study: Study, attacked: Condition) -> Condition | None:
    """Return the condition that is the same but for that factor; else the study's one that its factor
    `condition` names."""
    factors = {key: value for key, value in attacked.factors.items() if key != INJECTION}
    same = Condition.hash_of(
        attacked.system_prompt, attacked.prompt_suffix, attacked.language, attacked.sampling, factors
    )
    identical = Condition.objects.filter(content_hash=same).first()
    if identical is not None:
        return identical
    named = Condition.objects.filter(
        runs__responses__items__study=study, name=factors.get("condition", ""), language=attacked.language
    ).distinct()[:2]
    return named[0] if len(named) == 1 else None


def _attacked(
    study: Study, judges: Sequence[Rater], labels: Sequence[Label], attacks: Mapping[int, str]
) -> Iterator[AttackedCopies]:
    """Yield each judge's labels of responses and of their injected copies. A copy belongs to the response of
    the same model, task, epoch and run's name under the condition without the factor."""
    tables: dict[str, list[tuple[int, str, str, int]]] = defaultdict(list)
    for key, attack in attacks.items():
        original = original_of(study, Condition.objects.get(pk=key))
        if original is not None:
            tables[attack] += _copies(study, key, original.pk)
    for attack, table in tables.items():
        for judge in judges:
            read = VoteReader([judge], labels)
            rows = [(task, *read(before), *read(after), count) for task, before, after, count in table]
            data = np.asarray(rows, dtype=np.int64).reshape(len(rows), 4)
            yield AttackedCopies(str(judge), attack, Patterns(data[:, 1:3], data[:, 3], data[:, 0]))


def _copies(study: Study, attacked: int, original: int) -> list[tuple[int, str, str, int]]:
    same = Item.objects.filter(
        study=study,
        response__task=OuterRef("response__task"),
        response__epoch=OuterRef("response__epoch"),
        response__run__subject=OuterRef("response__run__subject"),
        response__run__name=OuterRef("response__run__name"),
        response__run__condition=original,
    ).order_by("pk")
    rows = (
        study.items.filter(response__run__condition=attacked)
        .annotate(before=Subquery(same.values("votes")[:1]))
        .filter(before__isnull=False)
        .order_by()
        .values_list("response__task", "before", "votes")
        .annotate(Count("pk"))
    )
    return list(rows)
