"""What the addresses of pages ask for."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from annotation.earlierlabels import LONGEST_SEARCH
from arbiter.analysis.figures.style import THEMES
from arbiter.analysis.planning.poweranalysis import LARGEST as LARGEST_STUDY
from arbiter.analysis.planning.poweranalysis import ExpectedStudy
from arbiter.studies.reading.browsing import ItemFilters
from arbiter.web.forms.fields import Key, Number, Percent, Query, SentForm, Text, Tick, WholeNumber
from benchmark.models import Response
from judging.models import StudyJudge, Verdict
from judging.settlement.disputes import KINDS


class AfterQuery(Query):
    """A page of rows after the one with a key."""

    after = Key()


class BeforeQuery(Query):
    """A page of rows before the one with a key; the first, where there is none."""

    before = Key()


class ItemsQuery(AfterQuery):
    """Items that meet filters, and how many rows a search that goes on by itself still has room for."""

    room = WholeNumber(most=99, required=False, initial=0)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        for name in ItemFilters.__dataclass_fields__:
            self.fields[name] = Text(longest=200, strip=True)


class DisputesQuery(Query):
    """Which disputes are meant, and which page of them."""

    strict = ("kind",)
    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS], required="" not in KINDS, initial="")
    category = Key()
    language = Text(longest=20)
    page = WholeNumber(least=1, most=999_999, required=False, initial=1)


class VerdictsQuery(AfterQuery):
    """Verdicts of one of the study's judges, in one state."""

    strict = ("judge", "state")
    judge = forms.ChoiceField(required=False, initial="")
    state = forms.ChoiceField(required=False, initial="", choices=Verdict.State.choices)

    def __init__(self, *args: Any, judges: Iterable[StudyJudge], **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["judge"].choices = [(str(judge.pk), str(judge)) for judge in judges]  # type: ignore[attr-defined]


class ResponsesQuery(AfterQuery):
    """Responses of a collection that are in one state."""

    strict = ("state",)
    state = forms.ChoiceField(required=False, initial="", choices=Response.State.choices)


class AgreementQuery(Query):
    """Two raters, and by what agreement is told. What is none of these, the figures refuse."""

    measure = Text(initial="kappa")
    by = Text(initial="category")
    first = Text()
    second = Text()
    pairs = Tick()


class RatesQuery(Query):
    """The contrast that is asked for; the rest of the question is read by `rate_view`."""

    compare = Text()


class JudgeQuery(Query):
    """The rater beside whom a judge is shown."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["with"] = Key()  # no attribute can have this name


class JudgingQuery(Query):
    """For how many looks the judges, or a collection, have not moved."""

    still = WholeNumber(most=9_999, required=False, initial=0)


class PeopleQuery(Query):
    """Whether the figures that take a while are wanted with the page."""

    figures = Tick()


class ExportQuery(Query):
    """What a dataset is to hold."""

    long = Tick()
    names = Tick()
    spreadsheet = Tick()


class FileQuery(Query):
    """Whether a file is to be kept rather than looked at."""

    download = Tick()


class FigureQuery(FileQuery):
    """How a figure is drawn."""

    theme = forms.ChoiceField(choices=[(name, name) for name in THEMES], required=False, initial="light")
    narrow = Tick()


class TrainingQuery(Query):
    """The example of the training round whose answer is looked at."""

    seen = WholeNumber(most=99_999, required=False, initial=0)


class OwnLabelsQuery(Query):
    """Which of their own labels a rater looks for."""

    search = Text(longest=LONGEST_SEARCH, strip=True)
    label = Text(longest=60)
    flagged = Tick()
    noted = Tick()
    after = Text()


# Questions that are answered on their own page, where what is wrong with them is said too


class PlanForm(SentForm):
    """How many labels it takes for intervals of a width, or to tell two arms apart."""

    width = Number(
        "The width of an interval is a number of points, above 0 and below 100.",
        label="Width, points",
        least=0,
        most=100,
    )
    arm = Text()
    first = Text()
    second = Text()
    estimand = Text()

    @classmethod
    def asked(cls, given: Mapping[str, str]) -> "PlanForm":
        """Return the form as the address fills it; what is empty is as usual."""
        return cls({"width": "10"} | {name: given[name] for name in cls.base_fields if given.get(name)})

    @property
    def query(self) -> dict[str, str]:
        """Return the question as addresses of figures hold it."""
        return {**self.data, "width": self.data["width"].strip().replace(",", ".")}


def _expected(label: str, kind: type[Number], said: str, least: float, most: float) -> Number:
    words = label.partition(",")[0]
    return kind(f"{words} is a number {said}.", label=label, least=least, most=most, required=False)


class ExpectedForm(SentForm):
    """What is expected of a study that is to be; a field that is empty is as usual."""

    tasks = WholeNumber(
        f"Tasks are a whole number from 2 to {LARGEST_STUDY:,}.",
        label="Tasks",
        least=2,
        most=LARGEST_STUDY,
        required=False,
    )
    epochs = WholeNumber(
        f"Answers to each are a whole number from 1 to {LARGEST_STUDY:,}.",
        label="Answers to each",
        least=1,
        most=LARGEST_STUDY,
        required=False,
    )
    rate = _expected("Rate, %", Percent, "of per cent above 0 and below 100", 0, 100)
    against = _expected("To be told from, %", Percent, "of per cent above 0 and below 100", 0, 100)
    difference = _expected("Difference, points", Percent, "of points from -100 to 100, and not 0", -100, 100)
    icc = _expected("Answers to a task alike", Number, "from 0 to 1", 0, 1)
    pairing = _expected("Tasks alike in both", Number, "from 0 to 1", 0, 1)
    sensitivity = _expected("Judge's sensitivity", Number, "from 0 to 1", 0, 1)
    specificity = _expected("Judge's specificity", Number, "from 0 to 1", 0, 1)
    power = _expected("Power", Number, "from 0.5 and below 1", 0.5, 1)
    level = _expected("Level", Number, "from 0.5 and below 1", 0.5, 1)

    @classmethod
    def asked(cls, given: Mapping[str, str]) -> "ExpectedForm":
        """Return the form as the address fills it, with what is usual in the other fields."""
        usual = {
            name: getattr(ExpectedStudy, name) * (100 if isinstance(field, Percent) else 1)
            for name, field in cls.base_fields.items()
            if getattr(ExpectedStudy, name) is not None
        }
        texts = {name: f"{value:g}" for name, value in usual.items()}
        return cls(texts | {name: given[name] for name in cls.base_fields if given.get(name)})

    def expected(self) -> ExpectedStudy:
        """Return what was typed."""
        return ExpectedStudy(
            **{name: value for name, value in self.cleaned_data.items() if value is not None}
        )

    def fill(self, **known: int) -> None:
        """Show what the study has in fields that were left empty."""
        self.data = {**{name: str(value) for name, value in known.items()}, **self.data}
