"""What a file brings must fit the column it goes to.
PostgreSQL refuses what doesn't, naming neither file nor line; SQLite keeps it."""

from typing import Any

from django.db import models

from arbiter.core.text import storable, storable_json
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError


def require_fit(path: str, line: int | None, model: type[models.Model], **values: Any) -> None:
    """Refuse names that are too long and values with characters no database holds;
    for all but responses' own texts."""
    for name, value in values.items():
        column = model._meta.get_field(name)
        what = f"the {model._meta.verbose_name}'s {getattr(column, 'verbose_name', name)}"
        longest = getattr(column, "max_length", None)
        if longest is not None and len(value) > longest:
            raise FormatError(path, line, f"at most {longest} characters in {what}", f"{len(value)}")
        if storable(value)[1] if isinstance(value, str) else not storable_json(value):
            raise FormatError(path, line, f"no NUL, lone surrogate or NaN in {what}", excerpt(value))
