"""Entering a study: each response of an import as an item, with its labels and gold, in one transaction."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from annotation.goldlabels import GoldCount, GoldEntry, write
from annotation.importing.checking import USUAL_SCHEME
from annotation.importing.responses import PlacedRow, Places
from annotation.importing.staging import StagedRow
from annotation.importing.steps import Checkpoint, Phase, Steps
from annotation.importing.stored import meta_of, stored_at
from annotation.itemvotes import first_votes
from annotation.ledger import Entry, record
from annotation.models import Gold, Item, LabelScheme, Study
from annotation.raters import rater_named
from annotation.schemes import SchemeSpec, builtin_scheme, label_ids, save_scheme
from annotation.studyfinder import find_study, study_of
from annotation.suiteaccess import grant_study
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.errors import UserError
from arbiter.core.models import Job
from arbiter.core.statements import update_by_key
from benchmark.models import Response

IMPORTED = {"imported": True}  # what a rater of a file was shown, as far as it says


def enter_study(steps: Steps, state: Checkpoint) -> None:
    """Make the study where it is missing, and the raters that rows name. What could still fail fails here,
    where the import can be taken back."""
    names = steps.staging.names
    study = find_study(names.study) or Study.objects.create(
        slug=names.study, title=names.study, scheme=_scheme(names.scheme)
    )
    if study.scheme.content_hash != names.scheme_hash:
        raise UserError(
            f"Study {study.slug!r} got the scheme {study.scheme} since the file was checked; import it again."
        )
    grant_study(steps.suite.slug, study)
    for name, kind, family in names.raters:
        rater_named(name, kind, family, study)
    Job.objects.filter(pk=steps.running.job.pk).update(study=study.pk)
    steps.running.job.study = study.pk
    state.begin(Phase.ENTERING)


def _scheme(spec: dict[str, object] | None) -> LabelScheme:
    return save_scheme(SchemeSpec.model_validate(spec)) if spec else builtin_scheme(USUAL_SCHEME)


def enter_items(steps: Steps) -> None:
    """Have the responses enter, from where the import is."""
    entering = _Entering(steps)
    for behind, units, lines in steps.portions(steps.staging.rows(steps.state.offset)):
        rows = entering.found([entering.places.of(line) for line in lines])
        steps.take(partial(entering.enter, rows, behind), units)
    steps.expect_all_rows()
    steps.begin(Phase.DRAWING)


@dataclass(frozen=True, slots=True)
class _EnteringRow:
    row: StagedRow
    response: int
    item: int  # 0: the study has none yet

    @property
    def new(self) -> bool:
        return not self.item


class _Entering:
    def __init__(self, steps: Steps) -> None:
        self.steps, self.places = steps, Places(steps)
        self.study = study_of(steps.running.job)
        self.labels = label_ids(self.study.scheme)
        self.raters = [rater_named(*rater, self.study) for rater in steps.staging.names.raters]
        self.votes: dict[tuple[tuple[int, str], ...], dict[str, Any]] = {}

    def found(self, placed: list[PlacedRow]) -> list[_EnteringRow]:
        """Return the rows with their responses, and their items where the study has them. No item comes to
        it meanwhile but by this import."""
        there = stored_at([one.place for one in placed])
        responses = [there[one.place] for one in placed]
        number = self.steps.running.job.pk
        last = self.steps.state.last_response  # after a restore numbers of imports may come again
        old = [one.pk for one in responses if one.imported_in != number or one.pk <= last]
        known = Item.objects.filter(study=self.study, response__in=old).values_list("response_id", "id")
        items = dict(known) if old else {}
        return [
            _EnteringRow(one.row, response.pk, items.get(response.pk, 0))
            for one, response in zip(placed, responses, strict=True)
        ]

    def enter(self, rows: list[_EnteringRow], behind: int, state: Checkpoint) -> None:
        new = self._new_items([one for one in rows if one.new])
        items = [one.item or new[one.response] for one in rows]
        for first in (True, False):
            self._rate([one for one in zip(rows, items, strict=True) if one[0].new == first], first, state)
        self._give_gold(rows, items, state)
        _add_meta([one for one in rows if one.row.meta])
        state.rows += len(rows)
        state.offset = behind

    def _new_items(self, rows: list[_EnteringRow]) -> dict[int, int]:
        """Make the items that are missing, each with its votes; return them by response."""
        made = [
            unsaved(Item, study_id=self.study.pk, response_id=one.response, **self._votes(one.row))
            for one in rows
        ]
        insert(made)
        return {item.response_id: item.pk for item in made}

    def _votes(self, row: StagedRow) -> dict[str, Any]:
        if not row.labels:
            return {}
        said = tuple((label.rater, label.label) for label in row.labels)
        if said not in self.votes:  # few patterns, and many rows
            given = [(self.raters[rater], self.labels[label]) for rater, label in said]
            self.votes[said] = first_votes(given)._asdict()
        return self.votes[said]

    def _rate(self, rows: list[tuple[_EnteringRow, int]], first: bool, state: Checkpoint) -> None:
        given = [(one.row, item, label) for one, item in rows for label in one.row.labels]
        entries = [
            Entry(
                item_id=item,
                rater=self.raters[label.rater],
                label=label.label,
                rationale=label.rationale,
                shown={**IMPORTED, **label.shown} if label.shown else IMPORTED,
            )
            for _, item, label in given
        ]
        if entries:
            recorded = record(self.study.scheme, entries, skip_equal=True, first=first)
            state.count.ratings += recorded.new
            for number in recorded.kept:
                self._keep(given[number][0], state)

    def _give_gold(self, rows: list[_EnteringRow], items: list[int], state: Checkpoint) -> None:
        with_gold = {item: one.row for one, item in zip(rows, items, strict=True) if one.row.gold}
        wanted = [
            GoldEntry(
                item=item,
                label=self.labels[str(row.gold)],
                origin=Gold.Origin.IMPORTED,
                rationale=row.gold_rationale,
                from_file=True,
                any_origin=True,
            )
            for item, row in with_gold.items()
        ]
        if wanted:
            written = GoldCount()
            for item in write(wanted, lambda _: True, written):
                self._keep(with_gold[item], state)
            state.count.gold += written.written

    def _keep(self, row: StagedRow, state: Checkpoint) -> None:
        state.count.keep(self.steps.staging.names.paths[row.path], row.line)


def _add_meta(rows: list[_EnteringRow]) -> None:
    """Keep what rows say beside of responses that were there before; what was said before stays as it is."""
    said = meta_of([one.response for one in rows])
    more = {
        one.response: ({**one.row.meta, **said[one.response]},)
        for one in rows
        if one.row.meta.keys() - said[one.response].keys()
    }
    update_by_key(Response, ["meta"], more)
