"""The form for what people usually set of a study.

It makes a document of what was typed; `arbiter.studies.setup.studyedits` saves it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from django import forms
from django.db.models import Count, QuerySet

from annotation.humanplan import HumansSpec
from annotation.schemes import BUILTIN
from benchmark.models import Response, Run, Suite, Task

OWN = "own"  # a scheme, or strata, that only the file can say
PLANS = [
    ("everyone", "Every item"),
    ("random", "A random share of the items"),
    ("disagreement", "More of the items on which judges split"),
    ("by", "A probability for each group of items"),
]
SHOWN = [
    ("reasoning", "The model's reasoning"),
    ("condition", "The condition"),
    ("transcript", "The transcript"),
]
SEEN = [("accuracy", "Their accuracy on checks"), ("consistency", "Their consistency on repeats")]
# Where in the document a field's value is; a plan's own fields are dealt with apart.
PLAIN = {
    "title": "title",
    "description": "description",
    "subjects": "responses.subjects",
    "conditions": "responses.conditions",
    "categories": "responses.categories",
    "voters": "settlement.voters",
    "gold_decides": "settlement.gold_decides",
}
HUMANS = {
    "per_item": "per_item",
    "seed": "seed",
    "extra_when_split": "extra_when_split",
    "per_rater": "per_rater",
    "checks_gold": "checks.gold",
    "checks_repeats": "checks.repeats",
    "repeat_after": "checks.repeat_after",
    "show": "show",
    "guidelines": "guidelines",
    "consent": "consent",
    "break_after": "break_after",
    "raters_see": "raters_see",
    "owner_labels": "owner_labels",
    "names": "adjudication.names",
    "own_items": "adjudication.own_items",
}
TRAINING = {"examples": "examples", "score": "score", "rounds": "rounds"}
OF_PLAN = {"random": ["share"], "disagreement": ["budget", "split_share"], "by": ["by", "probabilities"]}
PLAN_KEYS = ["plan", "share", "budget", "split_share", "by", "probabilities", "strata"]
FIELD_OF = {
    "study": "name",
    "scheme": "scheme",
    "responses.controls": "controls",
    "humans": "plan",
    "humans.training": "training",
    **{path: field for field, path in PLAIN.items()},
    **{f"humans.{path}": field for field, path in HUMANS.items()},
    **{f"humans.training.{path}": field for field, path in TRAINING.items()},
    **{f"humans.{key}": key for keys in OF_PLAN.values() for key in keys},
}


def _number(label: str, about: str = "", usual: Any = "", step: str = "1") -> forms.CharField:
    """Return a field that keeps what was typed.

    The study's own check refuses what is no such number, in the same words as for a file.
    """
    shown = {"step": step, "inputmode": "decimal" if step == "any" else "numeric", "placeholder": str(usual)}
    return forms.CharField(label=label, help_text=about, required=False, widget=forms.TextInput(attrs=shown))


def _text(label: str, about: str = "", rows: int = 3, **attrs: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows, **attrs})
    return forms.CharField(label=label, help_text=about, required=False, widget=widget, strip=False)


def _ticks(label: str, choices: Iterable[tuple[str, str]] = (), about: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label,
        choices=list(choices),
        help_text=about,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


def _tick(label: str, about: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, help_text=about, required=False)


class StudyForm(forms.Form):
    name = forms.CharField(
        label="Short name", help_text="Lower-case letters, digits and hyphens; it stays.", required=False
    )
    title = forms.CharField(label="Title", required=False)
    description = _text("Description", "Shown on the study's page, not to raters.", rows=2)

    subjects = _ticks("Subject models")
    conditions = _ticks("Conditions")
    categories = _ticks("Categories")
    controls = _tick("Control tasks too", "They stay out of the rates.")

    scheme = forms.ChoiceField(label="Scheme", required=False, widget=forms.RadioSelect)

    humans = _tick("People label this study")
    plan = forms.ChoiceField(
        label="Which items people label", choices=PLANS, required=False, widget=forms.RadioSelect
    )
    share = _number("Share", "Above 0, to 1.", step="any")
    budget = _number("Budget", "Items that people can label.")
    split_share = _number("Of it, where judges split", "0.3 to 0.5.", 0.4, step="any")
    by = forms.ChoiceField(
        label="Groups by",
        choices=[("category", "category"), ("condition", "condition"), ("judges", "whether judges split")],
        required=False,
    )
    probabilities = _text(
        "Probabilities",
        "One line each, such as “Evading shutdown: 0.5”; “default” stands for the rest. "
        "By judges: split, unanimous.",
    )
    per_item = _number("Raters an item", "", 2)
    extra_when_split = _number("More where they differ", "", 0)
    per_rater = _number("Most items a rater", "", "no limit")
    seed = _number("Seed", "Stays once items are drawn.", 0)

    training = _tick("Raters pass a training round first")
    examples = _number("Examples", "", 16)
    score = _number("Share right to pass", "", 0.75, step="any")
    rounds = _number("Rounds at most", "", 3)
    checks_gold = _number("Share of gold checks", "0 to 0.5.", 0, step="any")
    checks_repeats = _number("Share of repeats", "0 to 0.5.", 0, step="any")
    repeat_after = _number("Repeats come after", "Items.", 20)

    show = _ticks("Shown beside the task and the response", SHOWN)
    raters_see = _ticks("Shown of their own work", SEEN)
    guidelines = _text("Guidelines", "Markdown. HTML in it is shown as text.", rows=10)
    consent = _text("Consent", "What raters agree to before the first item. Empty: the usual text.")
    break_after = _number("Suggest a break after", "Minutes.", "never")
    owner_labels = _tick(
        "Owners may label too",
        "They can see other labels: what they label counts, and is told apart as the owner's.",
    )

    voters = forms.CharField(
        label="Who votes",
        help_text="Names, with commas between; “humans” is every person. Empty: everybody.",
        required=False,
    )
    gold_decides = _tick("Gold settles its item before any vote")
    names = _tick("Adjudicators see who labelled")
    own_items = _tick("Adjudicators may decide items they labelled")

    def __init__(
        self, base: Mapping[str, Any], suite: Suite | None, data: Any = None, *, new: bool, end: str = ""
    ) -> None:
        """Fill the form with a document, or with what was sent; `end` is put behind a new study's name."""
        super().__init__(data, initial=initial(base), auto_id="f-%s", label_suffix="")
        self.base, self.new = base, new
        self.fields["name"].disabled = not new
        if end:
            self.fields[
                "name"
            ].help_text += f" Your number is put behind it: “pressure” becomes pressure{end}."
        self._choices("scheme", _schemes(base))
        if (base.get("humans") or {}).get("strata"):
            self._choices("plan", [*PLANS, (OWN, "Strata of its own, as the file says")])
        for field, numbers in counts(suite).items():
            chosen = (base.get("responses") or {}).get(field, [])
            names = [*numbers, *(name for name in chosen if name not in numbers)]
            self._choices(field, [(name, f"{name} ({numbers.get(name, 0):,})") for name in names])

    def _choices(self, field: str, choices: list[tuple[str, str]]) -> None:
        self.fields[field].choices = choices  # type: ignore[attr-defined]

    def document(self) -> dict[str, Any]:
        """Return the document with what was typed. Empty is as usual; what the form doesn't know stays."""
        contents, typed = deepcopy(dict(self.base)), self.cleaned_data
        if self.new:
            contents["study"] = typed["name"].strip()
        if typed["scheme"] != OWN:
            contents["scheme"] = typed["scheme"] or "four-class"
        for field, path in PLAIN.items():
            _put(contents, path, _value(typed[field]))
        _put(
            contents,
            "settlement.voters",
            [name.strip() for name in typed["voters"].split(",") if name.strip()],
        )
        _put(contents, "responses.controls", None if typed["controls"] else False)
        if typed["humans"]:
            contents["humans"] = self._humans(dict(contents.get("humans") or {}))
        else:
            contents.pop("humans", None)
        return contents

    def _humans(self, humans: dict[str, Any]) -> dict[str, Any]:
        typed = self.cleaned_data
        for field, path in HUMANS.items():
            _put(humans, path, _value(typed[field]))
        humans.pop("training", None)
        if typed["training"]:
            humans["training"] = {key: typed[field] for field, key in TRAINING.items() if typed[field]}
        plan = typed["plan"] or "everyone"
        if plan != OWN:
            humans = self._with_plan(humans, plan)
        return humans

    def _with_plan(self, humans: dict[str, Any], plan: str) -> dict[str, Any]:
        """Put the plan in. Its name is left out where it was and its own keys say it, and told where one of
        them is missing.
        """
        named, keys = "strata" if plan == "by" else plan, OF_PLAN.get(plan, [])
        changed = {key: value for key, value in humans.items() if key not in PLAN_KEYS}
        for key in keys:
            typed = self.cleaned_data[key]
            _put(changed, key, (_lines(typed) or None) if key == "probabilities" else _value(typed))
        if humans.get("plan") == named or (keys and keys[0] not in changed):
            changed["plan"] = named
        return changed

    def place(self, keys: list[str], sentence: str) -> None:
        """Put a refusal beside the field it is about, or at the head of the form."""
        for length in range(len(keys), 0, -1):
            if field := FIELD_OF.get(".".join(keys[:length])):
                self.add_error(field, sentence)
                return
        self.add_error(None, sentence)


def _value(typed: Any) -> Any:
    """Return what was typed without the CR of lines' ends, as browsers send them; None where it is empty."""
    if isinstance(typed, str):
        typed = typed.replace("\r\n", "\n").strip()
    return typed or None


def _lines(typed: str) -> dict[str, str]:
    pairs = [line.rpartition(":") for line in typed.splitlines() if line.strip()]
    return {(name or value).strip(): value.strip() if name else "" for name, _, value in pairs}


def _put(contents: dict[str, Any], path: str, value: Any) -> None:
    """Set a value under the path, or take it out where it is empty, and what holds nothing then."""
    head, _, rest = path.partition(".")
    if rest:
        inner = dict(contents.get(head) or {})
        _put(inner, rest, value)
        value = inner or None
    if value is None or value == []:
        contents.pop(head, None)
    else:
        before = contents.get(head)
        as_before = (
            isinstance(before, str) and before.strip() == value
        )  # but for the line's end, which a form drops
        contents[head] = before if as_before else value


def _get(contents: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        contents = contents.get(key) or {} if isinstance(contents, Mapping) else {}
    return contents


def initial(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form shows of a document; what is usual stays empty."""
    humans = base.get("humans")
    of = humans or {}
    fields: dict[str, Any] = {field: _get(base, path) or "" for field, path in PLAIN.items()}
    fields |= {field: _get(of, path) or "" for field, path in HUMANS.items()}
    fields |= {field: _get(of, f"training.{key}") or "" for field, key in TRAINING.items()}
    fields |= {key: of.get(key, "") for keys in OF_PLAN.values() for key in keys}
    scheme = base.get("scheme", "four-class")
    return fields | {
        "name": base.get("study", ""),
        "controls": (base.get("responses") or {}).get("controls", True),
        "scheme": scheme if scheme in list(BUILTIN) else OWN,
        "humans": humans is not None,
        "plan": _plan(of),
        "probabilities": "\n".join(
            f"{name}: {value!r}" for name, value in of.get("probabilities", {}).items()
        ),
        "training": of.get("training") is not None,
        "voters": ", ".join((base.get("settlement") or {}).get("voters", [])),
    }


def _plan(humans: Mapping[str, Any]) -> str:
    if humans.get("strata"):
        return OWN
    return "by" if humans.get("by") else HumansSpec.model_validate(dict(humans)).chosen()


def _schemes(base: Mapping[str, Any]) -> list[tuple[str, str]]:
    own = base.get("scheme", "four-class")
    choices = [
        (key, f"{scheme.title}: {', '.join(label.title for label in scheme.labels)}")
        for key, scheme in BUILTIN.items()
    ]
    return choices if own in list(BUILTIN) else [(OWN, f"{own['title']}, as the file says"), *choices]


def counts(suite: Suite | None) -> dict[str, dict[str, int]]:
    """Count the responses of the suite by subject, condition and category.

    All are counted along one index, and those that are not done, along another, taken away: reading the state
    of each would read its text too.
    """
    runs = dict(Run.objects.filter(suite=suite).values_list("pk", "subject__name").order_by())
    under = dict(Run.objects.filter(suite=suite).values_list("pk", "condition__name").order_by())
    tasks = Task.objects.filter(suite=suite).order_by()
    titles = dict(tasks.filter(training=False).values_list("pk", "category__title"))
    training = list(tasks.filter(training=True).values_list("pk", flat=True))
    of = Response.objects.filter(run__suite=suite).exclude(task__in=training).order_by()
    by_run, by_task = _done(of, "run"), _done(of, "task")
    sources = {"subjects": (by_run, runs), "conditions": (by_run, under), "categories": (by_task, titles)}
    return {key: _by_name(numbers, names) for key, (numbers, names) in sources.items()}


def _done(responses: QuerySet[Response], by: str) -> Counter[int]:
    count: Counter[int] = Counter(dict(responses.values_list(by).annotate(n=Count("*"))))
    count.subtract(dict(responses.exclude(state=Response.State.DONE).values_list(by).annotate(n=Count("*"))))
    return +count


def _by_name(numbers: Mapping[int, int], names: Mapping[int, str]) -> dict[str, int]:
    count: Counter[str] = Counter()
    for key, number in numbers.items():
        count[names[key]] += number
    return dict(sorted(count.items()))
