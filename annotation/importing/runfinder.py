"""Finding the model, the condition and the run that a row names, or saying what they are to be made of.

Nothing is written: what is to be made has a key below 0.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from annotation.importing.staging import StagedNames
from arbiter.core.naming import ByName, same_name
from benchmark.column_limits import require_fit
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedCondition, ParsedResponse
from benchmark.models import Condition, Run, SubjectModel, Suite

ABOUT = ("family", "training", "size")


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run by its number among an import's, with the row of its table if there is one."""

    number: int
    run: Run

    @property
    def pk(self) -> int | None:
        return self.run.pk


class SubjectFinder:
    """The models that rows name. What rows say of one model must agree, with each other and with what stands;
    what nobody has said of it yet is taken from the first row that does."""

    def __init__(self) -> None:
        self.subjects: list[SubjectModel] = []
        self.said: dict[tuple[int, str], ParsedResponse] = {}  # by number and field: who said it first
        self.numbers: dict[int, int] = {}  # by key
        self.new: ByName[int] = ByName()

    def find(self, row: ParsedResponse) -> int:
        """Return the number of the row's model."""
        number = self._number(row.subject.name)
        for what in ABOUT:
            if said := getattr(row.subject, what):
                self._agree(number, what, said, row)
        return number

    def _number(self, name: str) -> int:
        there = SubjectModel.objects.called(name)
        number = self.numbers.get(there.pk) if there else self.new.one(name)
        if number is not None:
            return number
        number = len(self.subjects)
        self.subjects.append(there or SubjectModel(pk=-number - 1, name=name))
        if there:
            self.numbers[there.pk] = number
        else:
            self.new.add(name, number)
        return number

    def _agree(self, number: int, what: str, said: str, row: ParsedResponse) -> None:
        subject = self.subjects[number]
        first = self.said.setdefault((number, what), row)
        known = getattr(subject, what)
        if not known:
            setattr(subject, what, said)
        elif not same_name(known, said):
            where = "as it stands" if first is row else f"as on line {first.line}"
            where += f" of {first.path}" if first.path != row.path else ""
            raise FormatError(
                row.path,
                row.line,
                f"one {what} for subject {excerpt(subject.name)}: {excerpt(known)}, {where}",
                excerpt(said),
            )


class RunFinder:
    """The runs that rows name, numbered as they first come."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.found: dict[tuple[int, int, int], FoundRun] = {}
        self.kept: list[object] = []  # parsed objects whose id() is a key above must not be collected
        self.subjects = SubjectFinder()
        self.conditions: list[ParsedCondition] = []
        self.condition_rows: list[Condition] = []  # those that are to be made have no key
        self.by_content: dict[str, int] = {}
        self.runs: list[FoundRun] = []
        self.specs: list[tuple[int, int, str, dict[str, Any]]] = []
        self.numbers: dict[int, int] = {}  # by key
        self.new: dict[tuple[int, int], ByName[int]] = defaultdict(ByName)

    def find(self, row: ParsedResponse) -> FoundRun:
        key = (id(row.subject), id(row.condition), id(row.run))
        run = self.found.get(key)
        if run is None:
            require_names_that_fit(row)
            run = self._of(row)
            self.kept += [row.subject, row.condition, row.run]
            self.found[key] = run
        return run

    def _of(self, row: ParsedResponse) -> FoundRun:
        subject, condition = self.subjects.find(row), self._condition(row.condition)
        run, new = self._there(subject, condition, row.run.name), self.new[subject, condition]
        number = self.numbers.get(run.pk) if run.pk else new.one(row.run.name)
        if number is None:
            number = len(self.runs)
            self.runs.append(FoundRun(number, run))
            self.specs.append((subject, condition, row.run.name, dict(row.run.config)))
            if run.pk:
                self.numbers[run.pk] = number
            else:
                new.add(row.run.name, number)
        return self.runs[number]

    def _condition(self, parsed: ParsedCondition) -> int:
        content = content_of(parsed)
        there = Condition.objects.of_content(**content)
        known = str(there.pk) if there else Condition.folded_hash_of(**content)
        if known not in self.by_content:
            self.by_content[known] = len(self.conditions)
            self.conditions.append(parsed)
            self.condition_rows.append(there or Condition(name=parsed.name, language=parsed.language))
        return self.by_content[known]

    def _there(self, subject: int, condition: int, name: str) -> Run:
        """Return the run of this name as it stands, or one that is to be made, which has no key."""
        model, how = self.subjects.subjects[subject], self.condition_rows[condition]
        known = Run.objects.filter(suite=self.suite.pk or 0, subject=model.pk, condition=how.pk or 0)
        there = ByName((run.name, run) for run in known.select_related("subject", "condition")).one(name)
        return there or Run(subject=model, condition=how, name=name)

    def write_to(self, names: StagedNames) -> None:
        names.subjects = [
            {"name": one.name, **{what: getattr(one, what) for what in ABOUT}}
            for one in self.subjects.subjects
        ]
        names.conditions = [{"name": one.name, **content_of(one)} for one in self.conditions]
        names.runs = self.specs


def content_of(parsed: ParsedCondition) -> dict[str, Any]:
    return {
        "system_prompt": parsed.system_prompt,
        "prompt_suffix": parsed.prompt_suffix,
        "language": parsed.language,
        "sampling": dict(parsed.sampling),
        "factors": dict(parsed.factors),
    }


def require_names_that_fit(row: ParsedResponse) -> None:
    parts: list[tuple[Any, Mapping[str, Any]]] = [
        (SubjectModel, asdict(row.subject)),
        (Condition, asdict(row.condition)),
        (Run, asdict(row.run)),
    ]
    for model, values in parts:
        require_fit(row.path, row.line, model, **values)
