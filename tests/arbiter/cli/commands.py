"""Calling commands as the command line does."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def document(*arguments: object, **options: Any) -> Any:
    """The one document that a command prints with --json."""
    out = io.StringIO()
    call_command(*map(str, arguments), "--json", stdout=out, **options)
    return json.loads(out.getvalue())


def refusal(*arguments: object) -> str:
    """The one line a command ends with where its input is wrong."""
    with pytest.raises(CommandError) as error:
        call_command(*map(str, arguments))
    said = str(error.value)
    assert "\n" not in said
    return said
