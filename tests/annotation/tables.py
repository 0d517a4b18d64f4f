"""Small tables of responses, as files."""

import csv
import json
from pathlib import Path
from typing import Any

from django.apps import apps

ROW = {"task": "task-1", "subject": "model-a", "response": "I stop at four."}
IMPORT = ("--suite", "tiny", "--study", "tiny")


def row(**changes: Any) -> dict[str, Any]:
    """Return a row of the table; `label_ann` and `reason_ann` stand for the columns of a human named ann."""
    names = {"label_ann": "label:human:ann", "reason_ann": "reason:human:ann"}
    return ROW | {names.get(name, name): value for name, value in changes.items()}


def jsonl(folder: Path, *rows: dict[str, Any] | str, name: str = "responses.jsonl") -> Path:
    path = folder / name
    lines = [each if isinstance(each, str) else json.dumps(each) for each in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def table(folder: Path, *rows: dict[str, Any], name: str = "responses.csv") -> Path:
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for each in rows for key in each)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def everything() -> dict[str, list[dict[str, Any]]]:
    """Return every row of our own tables."""
    models = [model for app in ("benchmark", "annotation") for model in apps.get_app_config(app).get_models()]
    return {model._meta.label: list(model.objects.order_by("pk").values()) for model in models}
