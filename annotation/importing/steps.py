"""The steps of an import: short transactions that also write down how far it is.

Each step keeps, on the job's row and in its own transaction, where to go on from. It goes back where the
job is no longer this worker's. So whoever goes on after a killed worker does nothing twice and leaves
nothing out.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any, Self

from django.db import IntegrityError, transaction

from annotation.draws import Held
from annotation.importing.pace import UNIT, Pace
from annotation.importing.staging import Staging, StagingDamaged
from arbiter.core.jobworkers import RunningJob
from benchmark.formats.records import FormatError
from benchmark.models import Suite

KEPT_TOLD = 5  # places named; the rest are counted
ENDED = (
    "{why} {entered:,} of its {rows:,} rows entered the study, and they stay. Import the files again to "
    "bring in the rest."
)


class Phase:
    NAMES = "names"
    TASKS = "tasks"
    RESPONSES = "responses"
    ENTERING = "entering"
    DRAWING = "drawing"
    OVER = "over"
    LEAVING = "leaving"


REVERSIBLE = (Phase.NAMES, Phase.TASKS, Phase.RESPONSES)
DOING = {
    Phase.NAMES: "names",
    Phase.TASKS: "tasks",
    Phase.RESPONSES: "responses",
    Phase.ENTERING: "items and labels",
    Phase.DRAWING: "draws",
    Phase.OVER: "done",
    Phase.LEAVING: "taking it back",
}


@dataclass
class ImportCount:
    """What an import made; `unchanged` counts responses that were there already. `kept` counts labels and
    gold of the file that were left out, as a person has decided here since; `kept_at` says where the first of
    them stand."""

    runs: int = 0
    responses: int = 0
    ratings: int = 0
    gold: int = 0
    unchanged: int = 0
    kept: int = 0
    kept_at: list[str] = field(default_factory=list)
    holding_reasoning: int = 0  # texts of the file that hold a model's reasoning between its tags

    def keep(self, path: str, line: int) -> None:
        self.kept += 1
        if len(self.kept_at) < KEPT_TOLD:
            self.kept_at.append(f"{path}, line {line}")


@dataclass
class Made:
    """What an import made beside responses, by key, for it to be taken back."""

    suite: int | None = None
    subjects: list[int] = field(default_factory=list)
    conditions: list[int] = field(default_factory=list)
    categories: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    # Of models that stood without: key, field and what was filled in.
    filled: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass
class Checkpoint:
    """How far an import is."""

    phase: str = Phase.NAMES
    offset: int = 0  # in the file that the phase reads
    rows: int = 0  # that the phase is through with
    why: str = ""  # it fails; empty where a person took it back
    suite: int | None = None
    last_task: int = 0  # before the import's own
    last_response: int = 0
    made: Made = field(default_factory=Made)
    held: Held | None = None  # by the strata of draws, before they are extended
    count: ImportCount = field(default_factory=ImportCount)

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Self:
        """Return what a job's row keeps; of one that has not begun, the beginning."""
        if not kept:
            return cls()
        return cls(**{**kept, "made": Made(**kept["made"]), "count": ImportCount(**kept["count"])})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def begin(self, phase: str) -> None:
        self.phase, self.offset, self.rows = phase, 0, 0

    def end_early(self, why: str, rows: int) -> None:
        """Let the import, of so many rows, end with what entered so far, where nobody can read the rest."""
        self.why = ENDED.format(why=why, entered=self.rows, rows=rows)
        self.begin(Phase.DRAWING)

    def done(self, rows: int) -> int:
        """Return how many rows of twice as many are done: each is written twice."""
        before = {Phase.ENTERING: rows, Phase.DRAWING: 2 * rows, Phase.OVER: 2 * rows}.get(self.phase, 0)
        return before + (self.rows if self.phase in (Phase.RESPONSES, Phase.ENTERING) else 0)


Write = Callable[[Checkpoint], None]


class Steps:
    """Takes an import's steps one after another, from its job's checkpoint on."""

    def __init__(self, running: RunningJob, folder: str, rows: int) -> None:
        self.running, self.folder, self.rows = running, folder, rows
        self.state = Checkpoint.read(running.job.checkpoint)
        self.pace = Pace()

    @cached_property
    def staging(self) -> Staging:
        return Staging(self.folder)

    @cached_property
    def suite(self) -> Suite:
        return Suite.objects.get(pk=self.state.suite or 0)

    def take(self, write: Write, units: int = 0) -> None:
        """Write in one transaction, with how far that is; `write` says so in the checkpoint it is given.
        Stopped or killed before it ends, nothing of it has happened."""
        self.running(self.state.done(self.rows), 2 * self.rows, DOING[self.state.phase])
        self.pace.began()
        state = deepcopy(self.state)
        with transaction.atomic():
            clock = monotonic()
            write(state)
            self.running.note(state.as_json(), state.done(self.rows), 2 * self.rows, DOING[state.phase])
        self.state = state
        self.pace.ran(units, monotonic() - clock)

    def take_again(self, write: Write, units: int = 0) -> None:
        """Take a step, once more where somebody made the same thing at that moment: then it is found."""
        try:
            self.take(write, units)
        except IntegrityError:
            self.take(write, units)

    def begin(self, phase: str) -> None:
        self.take(lambda state: state.begin(phase))

    def expect_all_rows(self) -> None:
        """Raise StagingDamaged where the phase came to the end of its file before the last row."""
        if self.state.rows != self.staging.names.rows:
            raise StagingDamaged(f"{self.staging.folder}: the staging file of this import ends too soon.")

    def refuse(self, path: int, line: int, expected: str, actual: str) -> FormatError:
        return FormatError(self.staging.names.paths[path], line, expected, actual)

    def portions(self, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, int, list[bytes]]]:
        """Yield lines in portions as large as one transaction takes, each with the place behind it and its
        units."""
        portion: list[bytes] = []
        units, behind = 0, 0
        for behind, line in lines:
            portion.append(line)
            units += 1 + len(line) // UNIT
            if units >= self.pace.units:
                yield behind, units, portion
                portion, units = [], 0
        if portion:
            yield behind, units, portion
