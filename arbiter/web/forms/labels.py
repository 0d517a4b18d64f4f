"""The forms by which raters and adjudicators answer; the workspace sends JSON instead."""

from typing import Any

from django import forms

from annotation.adjudication import MOST_EXTRA
from arbiter.web.forms.fields import Key, Query, SentForm, Text, Tick, WholeNumber


class ConsentForm(Query):
    """Consent to the text with a hash."""

    text = Text()


class TrainingAnswerForm(Query):
    """A label for an example of the training round."""

    round = Key(most=99_999)
    number = Key(most=99_999)
    label = Text()


class DecisionForm(SentForm):
    """An adjudicator's decision."""

    needed = ("label", "reason")
    label = Text()
    reason = Text(widget=forms.Textarea(attrs={"rows": 2, "required": True}))
    guideline_unclear = Tick("The guidelines are unclear here")

    def __init__(self, data: Any = None, **named: Any) -> None:
        super().__init__(data, auto_id="%s", **named)


class SeenQuery(Query):
    """The revision of the decision that an adjudicator knows of; None where none is told."""

    seen = WholeNumber(most=99_999_999, required=False)


class ReferralForm(SentForm):
    """Sending an item back for more raters."""

    needed = ("back",)
    back = Text(label="Why does it need one?", widget=forms.Textarea(attrs={"rows": 3, "required": True}))
    extra = WholeNumber(
        f"Ask for 1 to {MOST_EXTRA} more raters.", label="More raters", least=1, most=MOST_EXTRA, initial=1
    )
