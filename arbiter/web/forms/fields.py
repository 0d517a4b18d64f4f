"""Fields and forms that the others are made of."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404

from arbiter.core.errorkinds import ERROR_KINDS
from arbiter.core.errors import UserError
from arbiter.core.text import storable

LARGEST = 10**18 - 1  # any key of a row is smaller


class WholeNumber(forms.IntegerField):
    """A whole number in decimal digits, without a sign. Whatever is wrong with it, the field's one sentence
    says so."""

    def __init__(self, message: str = "", *, least: int = 0, most: int = LARGEST, **named: Any) -> None:
        faults = ("required", "invalid", "min_value", "max_value")
        named.setdefault("error_messages", dict.fromkeys(faults, message or "A whole number is wanted here."))
        super().__init__(min_value=least, max_value=most, **named)

    def to_python(self, value: Any) -> int | None:
        if value not in self.empty_values and not str(value).strip().isdecimal():
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class Key(WholeNumber):
    """The key of a row; 0, which is no row's, where what came can be none."""

    def __init__(self, *, most: int = LARGEST, initial: int = 0) -> None:
        super().__init__(most=most, required=False, initial=initial, widget=forms.HiddenInput)


class Number(forms.FloatField):
    """A number, with a decimal point or a comma. Whatever is wrong with it, the field's one sentence says
    so."""

    def __init__(
        self, message: str, *, least: float | None = None, most: float | None = None, **named: Any
    ) -> None:
        faults = ("required", "invalid", "min_value", "max_value")
        named.setdefault("error_messages", dict.fromkeys(faults, message))
        named.setdefault("widget", forms.NumberInput(attrs={"step": "any"}))
        super().__init__(min_value=least, max_value=most, **named)

    def to_python(self, value: Any) -> Any:
        return super().to_python(value.strip().replace(",", ".") if isinstance(value, str) else value)


class Percent(Number):
    """A share that is typed as a number of per cent."""

    def clean(self, value: Any) -> float | None:
        number: float | None = super().clean(value)
        return None if number is None else number / 100


class Text(forms.Field):
    """Any text, cut to the longest that is looked at. What cannot be stored or searched for, the domain
    says."""

    widget = forms.TextInput

    def __init__(self, *, longest: int | None = None, strip: bool = False, **named: Any) -> None:
        self.longest, self.strip = longest, strip
        super().__init__(**{"required": False, "initial": "", **named})

    def to_python(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return (text.strip() if self.strip else text)[: self.longest]

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        shown = self.longest is not None and not widget.is_hidden
        return super().widget_attrs(widget) | ({"maxlength": str(self.longest)} if shown else {})


class TickInput(forms.CheckboxInput):
    def value_from_datadict(self, data: Any, files: Any, name: str) -> bool:
        return name in data


class Tick(forms.BooleanField):
    """True where the name is there, whatever its value."""

    widget = TickInput

    def __init__(self, label: str = "") -> None:
        super().__init__(label=label, required=False, initial=False)


class Query(forms.Form):
    """What the address of a page asks for. Anybody may have written it, so what can't be asked asks for
    nothing.

    Of the fields in `strict`, a value that isn't offered is answered with 404."""

    strict: ClassVar[Collection[str]] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any], **offered: Any) -> dict[str, Any]:
        """Return a value for every field: what was asked, or the field's initial one. Texts are as they would
        be stored, so that what is looked for can be there."""
        form = cls(given, **offered)
        form.full_clean()
        if any(name in form.errors for name in cls.strict):
            raise Http404("There is nothing of that kind here.")
        asked = {name: form.cleaned_data.get(name) for name in form.fields}
        return {
            name: form.fields[name].initial if value in (None, "") else _as_stored(value)
            for name, value in asked.items()
        }


def _as_stored(value: Any) -> Any:
    """Return a text as texts are stored, which on PostgreSQL have no NUL; any other value as it is."""
    return storable(value)[0] if isinstance(value, str) else value


class SentForm(forms.Form):
    """A form that changes something. Its page is shown again, with what was typed, until nothing is wrong."""

    needed: ClassVar[Collection[str]] = ()  # what the domain refuses to go without
    refused_as: str = UserError.kind  # of what the domain refused

    def __init__(self, data: Any = None, files: Any = None, **named: Any) -> None:
        prefix = type(self).__name__.removesuffix("Form").lower()
        super().__init__(data, files, **{"auto_id": f"{prefix}-%s", "label_suffix": "", **named})

    def add_error(self, field: str | None, error: Any) -> None:
        """Note an error, and let the page begin at the field that has it."""
        super().add_error(field, error)
        for name in self.errors.keys() & self.fields.keys():
            self._mark(name)

    def _mark(self, name: str) -> None:
        widget = self.fields[name].widget
        widget.attrs["autofocus"] = True
        if isinstance(widget, forms.NumberInput):  # which would show nothing of what is no number
            widget.input_type = "text"
            for attribute in ("min", "max", "step"):
                widget.attrs.pop(attribute, None)
        said, described = f"{self[name].auto_id}_error", widget.attrs.get("aria-describedby", "")
        if described and said not in described:
            widget.attrs["aria-describedby"] = f"{described} {said}"

    @contextmanager
    def refusals(self, field: str | None = None) -> Iterator[None]:
        """Put what the domain refuses beside the field, or the first that is needed and empty, or at the
        form's head."""
        try:
            yield
        except UserError as refusal:
            self.refused_as = refusal.kind
            empty = [name for name in self.needed if not str(self.cleaned_data.get(name) or "").strip()]
            self.add_error(field or next(iter(empty), None), str(refusal))


def status_of(*forms_shown: forms.Form) -> int:
    """Return the status of a page that shows these forms: where one of them came back with errors, that of
    what was refused, 422 unless it is of another kind."""
    for form in forms_shown:
        if form.is_bound and form.errors:
            return ERROR_KINDS[getattr(form, "refused_as", UserError.kind)].status
    return 200


def pressed(given: Mapping[str, Any], buttons: Collection[str]) -> tuple[str, str]:
    """Return the name and the value of the button that sent a form; two empty texts where it was none of
    these."""
    name = next((name for name in buttons if name in given), "")
    return name, str(given[name]) if name else ""
