"""The forms in a study's pages by which its owner changes something, and those of the page of suites."""

from collections.abc import Iterable
from typing import Any

from django import forms

from annotation.access import MOST_DAYS
from annotation.enrolments import MOST_ITEMS
from annotation.goldlabels import SOURCES
from annotation.models import Membership
from arbiter.web.forms.fields import Key, Number, Percent, Query, SentForm, Text, Tick, WholeNumber
from judging.settlement.settlejob import SettleArguments

DAYS = 7  # that an invitation is open, unless said otherwise
LONGEST_REASON = 2000
LONGEST_NAME = 150
RULE_NAMES = [
    ("majority", "Majority: the label most voters give"),
    ("unanimous", "Unanimous: only where all voters agree"),
    ("weighted", "Weighted: voters count as they do on gold"),
    ("model", "Model: a calibrated posterior, high enough"),
]
ROLES = [(role, role) for role in Membership.Role.values]
SEED = "The seed must be a whole number."


def _about(text: str) -> forms.NumberInput:
    """Return the field of a number that is described by a text of the page."""
    return forms.NumberInput(attrs={"step": "any", "aria-describedby": text})


class PromotionForm(SentForm):
    """Making gold of what raters or adjudicators said."""

    source = forms.ChoiceField(
        label="From",
        choices=[("consensus", "raters who all agree"), ("adjudication", "adjudicators' decisions")],
        error_messages={
            "invalid_choice": f"Gold can be promoted from {' or '.join(SOURCES)}, not from “%(value)s”."
        },
    )
    min = WholeNumber(
        "How many raters have to agree is a whole number from 1 to 999.",
        label="Raters at least",
        least=1,
        most=999,
        initial=2,
        required=False,
    )
    replace = Tick("Also over gold by experts or imported")


class GoldFileForm(SentForm):
    """Importing a file of gold."""

    file = forms.FileField(
        label="CSV or JSONL file",
        widget=forms.FileInput(attrs={"accept": ".csv,.jsonl"}),
        error_messages=dict.fromkeys(
            ("required", "invalid", "missing", "empty"), "Choose a CSV or JSONL file first."
        ),
    )
    draw = forms.ChoiceField(
        label="Drawn by",
        required=False,
        error_messages={"invalid_choice": "This study has no draw “%(value)s”."},
    )

    def __init__(self, *args: Any, draws: Iterable[str], **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["draw"].choices = [("", "no design"), *((name, name) for name in draws)]  # type: ignore[attr-defined]


class SettlingForm(SentForm):
    """Settling a study by a rule."""

    rule = forms.ChoiceField(
        label="Rule",
        choices=RULE_NAMES,
        initial="majority",
        required=False,
        error_messages={"invalid_choice": "There is no rule “%(value)s” to settle by."},
    )
    threshold = Percent(
        "The threshold is a number of per cent, from 50 and below 100.",
        label="Posterior from, %",
        least=50,
        most=99.999,
        initial=90,
        required=False,
        widget=_about("settle-help"),
    )
    audit = Percent(
        "The audit share is a number of per cent, from 0 to 100.",
        label="Audit, %",
        least=0,
        most=100,
        initial=0,
        required=False,
        widget=_about("settle-help"),
    )

    def arguments(self) -> SettleArguments:
        """Return what was asked for; what was left empty is as usual."""
        threshold, audit = self.cleaned_data["threshold"], self.cleaned_data["audit"]
        return SettleArguments(
            self.cleaned_data["rule"] or "majority", 0.9 if threshold is None else threshold, audit or 0.0
        )


class SplitForm(SentForm):
    """Splitting the gold in two parts."""

    share = Number(
        "The share must be a number between 0 and 1.", label="Share sealed", least=0, most=1, initial=0.5
    )
    seed = forms.IntegerField(
        label="Seed",
        min_value=-(2**62),
        max_value=2**62,
        initial=0,
        required=False,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), SEED),
    )


class LookForm(SentForm):
    """Looking at a judge's figures on the sealed gold."""

    needed = ("reason",)
    reason = Text(
        label="Why now", longest=LONGEST_REASON, widget=forms.TextInput(attrs={"size": 44, "required": True})
    )


class TemplateForm(SentForm):
    """Giving a judge another template; `before` is the text that was edited."""

    template = Text(
        label="Template", widget=forms.Textarea(attrs={"class": "code", "rows": 24, "spellcheck": "false"})
    )
    before = Text(widget=forms.Textarea(attrs={"hidden": True, "aria-hidden": "true", "tabindex": -1}))

    def base_on(self, text: str) -> None:
        """Let what was typed replace this text when it is sent again."""
        self.data = {"template": self.data.get("template", ""), "before": text}


class InvitationForm(SentForm):
    """Inviting somebody."""

    role = forms.ChoiceField(
        label="As",
        choices=ROLES,
        initial="rater",
        error_messages=dict.fromkeys(
            ("required", "invalid_choice"), "Choose what the invited person will be."
        ),
    )
    days = WholeNumber(
        f"An invitation can be open for 1 to {MOST_DAYS} days.",
        label="Open for (days)",
        least=1,
        most=MOST_DAYS,
        initial=DAYS,
    )


class RevocationForm(Query):
    """Ending an invitation."""

    invitation = Key()


class RoleForm(SentForm):
    """Giving a member another role, or taking them out of the study."""

    username = Text(widget=forms.HiddenInput)
    role = Text(widget=forms.Select(choices=[*ROLES, ("", "none: take out of the study")]))

    def __init__(self, data: Any = None, **named: Any) -> None:
        super().__init__(data, **named)
        self.fields["role"].widget.attrs["aria-label"] = f"New role of {self['username'].value()}"


class LimitsForm(SentForm):
    """What somebody may be given. With none of the languages or categories, they are given every one."""

    cap = WholeNumber(
        f"The most items somebody may label is a whole number from 1 to {MOST_ITEMS:,}, or empty.",
        label="Items, at most",
        least=1,
        most=MOST_ITEMS,
        required=False,
    )
    language = forms.MultipleChoiceField(
        label="Languages",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "invalid_choice": "No item of this study has the language “%(value)s”; reload the page."
        },
    )
    category = forms.MultipleChoiceField(
        label="Categories",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "invalid_choice": "No item of this study has the category “%(value)s”; reload the page."
        },
    )

    def __init__(
        self, *args: Any, languages: Iterable[str], categories: Iterable[tuple[str, str]], **named: Any
    ) -> None:
        super().__init__(*args, **named)
        self.fields["language"].choices = [(name, name) for name in languages]  # type: ignore[attr-defined]
        self.fields["category"].choices = list(categories)  # type: ignore[attr-defined]


# Suites


class SuiteQuery(Query):
    """The suite that a form is about."""

    suite = Text()


class SuiteUserForm(SentForm):
    """Letting somebody use a suite, or own it."""

    suite = Text(widget=forms.HiddenInput)
    username = Text(label="Name", strip=True, longest=LONGEST_NAME)
    owner = Tick("Owns it, and says who may")

    def __init__(self, data: Any = None, *, slug: str, **named: Any) -> None:
        super().__init__(data, **{"auto_id": f"suite-{slug}-%s", "initial": {"suite": slug}, **named})
        self.slug = slug
        shown = {"autocomplete": "off", "required": True, "aria-label": f"Name of who may use {slug}"}
        self.fields["username"].widget.attrs |= shown


class AccessForm(Query):
    """Ending somebody's or a study's use of a suite."""

    access = Key()
