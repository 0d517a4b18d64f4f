"""Adding the responses that are not there yet. No study has them as items, so nobody meets them yet."""

from dataclasses import dataclass
from functools import partial

from annotation.importing.checking import refuse_another, refuse_other_meta
from annotation.importing.naming import runs_of
from annotation.importing.staging import StagedRow, StagedTexts, row_of, texts_in
from annotation.importing.steps import Checkpoint, Steps
from annotation.importing.stored import Place, meta_of, stored_at
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.errors import UserError
from benchmark.models import Response, Run

GONE = "Task {task!r} was there when the files were checked, and is not any more; import them again."


@dataclass(frozen=True, slots=True)
class PlacedRow:
    row: StagedRow
    place: Place


class Places:
    """Where rows belong, by the keys of their runs and tasks."""

    def __init__(self, steps: Steps) -> None:
        self.runs = runs_of(steps)
        self.made = set(steps.state.made.runs)
        self.tasks = dict(steps.suite.tasks.values_list("key", "pk"))

    def of(self, line: bytes) -> PlacedRow:
        row = row_of(line)
        if row.task not in self.tasks:
            raise UserError(GONE.format(task=row.task))
        return PlacedRow(row, (self.runs[row.run].pk, self.tasks[row.task], row.epoch))

    def run(self, row: StagedRow) -> Run:
        return self.runs[row.run]


def add_responses(steps: Steps) -> None:
    """Add the responses from where the import is. One that is there already must be the same."""
    places, number = Places(steps), steps.running.job.pk
    for behind, units, lines in steps.portions(steps.staging.rows(steps.state.offset)):
        placed = [(places.of(line), texts_in(line)) for line in lines]
        made = [response_of(one, texts, number) for one, texts in placed]
        steps.take(partial(_add, steps, places, placed, made, behind), units)
    steps.expect_all_rows()


def _add(
    steps: Steps,
    places: Places,
    placed: list[tuple[PlacedRow, StagedTexts]],
    made: list[Response],
    behind: int,
    state: Checkpoint,
) -> None:
    old = [one.place for one, _ in placed if one.place[0] not in places.made]
    there = stored_at(old)
    said = meta_of([there[one.place].pk for one, _ in placed if one.row.meta and one.place in there])
    for one, texts in placed if there else ():
        if response := there.get(one.place):
            path, row = steps.staging.names.paths[one.row.path], one.row
            refuse_another(path, row.line, response, texts, row.task, places.run(row))
            refuse_other_meta(path, row.line, said.get(response.pk, {}), row.meta)
    new = [response for response, (one, _) in zip(made, placed, strict=True) if one.place not in there]
    insert(new)
    state.count.responses += len(new)
    state.count.unchanged += len(made) - len(new)
    state.rows += len(made)
    state.offset = behind


def response_of(one: PlacedRow, texts: StagedTexts, number: int) -> Response:
    run, task, epoch = one.place
    return unsaved(
        Response,
        run_id=run,
        task_id=task,
        epoch=epoch,
        meta=one.row.meta,
        imported_in=number,
        **texts._asdict(),
    )
