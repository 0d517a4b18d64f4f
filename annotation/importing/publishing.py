"""Publishing an import that was checked: from its staging folder into the database.

1. names: the suite, models, conditions, categories and runs. 2. tasks: those that are to be made.
3. responses: nobody meets them, as no study has them as items. 4. entering: the study and its raters are
there, and each response enters as an item with its labels and gold, all in one transaction. 5. drawing: the
new items join the study's draws, so raters are given them when all have entered.

Until (4) begins an import can be taken back, and it is where something has come between its check and now.
From then on it only goes forward: what entered is whole, and may have been read and labelled. Killed
anywhere, the next worker goes on where the last transaction ended.
"""

from typing import Any

from django.db import IntegrityError, connection

from annotation.draws import Step, extension_steps, held_by
from annotation.importing.entering import enter_items, enter_study
from annotation.importing.leaving import leave
from annotation.importing.naming import make_names, make_tasks
from annotation.importing.responses import add_responses
from annotation.importing.staging import StagingDamaged, remove_staging
from annotation.importing.steps import REVERSIBLE, Checkpoint, Phase, Steps
from annotation.models import DrawnItem, Gold, Item, Rating
from annotation.studyfinder import study_of
from arbiter.core.errors import UserError
from arbiter.core.longwork import WorkPutOff
from benchmark.models import Response

LARGE = 10_000  # rows, after which PostgreSQL is told to count anew what its plans rest on
COLLIDED = (
    "Something was written since the file was checked that this import contradicts, so nothing of it was "
    "imported; import it again to learn what."
)


def publish(steps: Steps) -> dict[str, Any]:
    """Go on from where the import is to its end, and return what it made."""
    if steps.state.phase in REVERSIBLE:
        try:
            _prepare(steps)
        except (UserError, IntegrityError) as error:
            _turn_back(steps, str(error) if isinstance(error, UserError) else COLLIDED)
    if steps.state.phase == Phase.LEAVING:
        leave(steps)  # raises
    try:
        _complete(steps)
    except UserError as error:
        raise WorkPutOff(str(error)) from error  # items have begun to enter: it only goes forward
    remove_staging(steps.folder)
    if steps.state.why:
        raise UserError(steps.state.why)
    return vars(steps.state.count)


def _prepare(steps: Steps) -> None:
    if steps.state.phase == Phase.NAMES:
        make_names(steps)
    if steps.state.phase == Phase.TASKS:
        make_tasks(steps)
    add_responses(steps)
    _count_anew(steps, Response)
    steps.take_again(lambda state: enter_study(steps, state))


def _turn_back(steps: Steps, why: str) -> None:
    def note(state: Checkpoint) -> None:
        state.begin(Phase.LEAVING)
        state.why = why

    steps.take(note)


def _complete(steps: Steps) -> None:
    if steps.state.phase == Phase.ENTERING:
        try:
            enter_items(steps)
        except StagingDamaged as error:
            why = str(error)
            steps.take(lambda state: state.end_early(why, steps.rows))
    if steps.state.phase == Phase.DRAWING:
        _count_anew(steps, Response, Item, Rating, Gold)
        try:
            _draw(steps)
        except UserError as error:
            _end_undrawn(steps, str(error))
        _count_anew(steps, DrawnItem)
        steps.begin(Phase.OVER)


def _draw(steps: Steps) -> None:
    """Extend the study's draws, from where the import is."""
    study = study_of(steps.running.job)
    if steps.state.held is None:
        steps.take(lambda state: setattr(state, "held", held_by(study)))
    held = steps.state.held
    for step in extension_steps(study, held):

        def write(state: Checkpoint, step: Step = step) -> None:
            step()
            state.held = held

        steps.take(write)


def _end_undrawn(steps: Steps, why: str) -> None:
    """Have the import end, and say why items are in no draw: trying again would meet the same."""
    study = steps.running.job.arguments["study"]
    said = f"Not all that entered study {study!r} is drawn for people yet. {why} "
    said += f"Then run `manage.py study draw {study}`."
    steps.take(lambda state: setattr(state, "why", f"{state.why} {said}".strip()))


def _count_anew(steps: Steps, *models: Any) -> None:
    """Have PostgreSQL count what its plans rest on, after so much that what it knows is wrong. It would do so
    by itself, a minute or two later. SQLite plans without."""
    if connection.vendor == "postgresql" and steps.rows >= LARGE:
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(model._meta.db_table for model in models)}")
