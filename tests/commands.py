"""Our commands as a user meets them: a JSON document, or a line of refusal."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


def as_json(name: str, *arguments: object) -> Any:
    """Return what the command prints with --json: one document, on one line."""
    out = StringIO()
    call_command(name, *map(str, arguments), "--json", stdout=out)
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue())


def refusal(name: str, *arguments: object) -> str:
    """Return the one line that a command fails with."""
    with pytest.raises(CommandError) as caught:
        call_command(name, *map(str, arguments), "--json", stdout=StringIO())
    message = str(caught.value)
    assert message and "\n" not in message
    return message
