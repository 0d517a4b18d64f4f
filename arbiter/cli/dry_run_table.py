"""A dry run's table, as the terminal shows it."""

from collections.abc import Mapping
from typing import Any

from arbiter.calls.prices import PICO, dollars
from arbiter.cli.commandline import ArbiterCommand
from judging.panel.forecast import REPEATED, of_the_priced


def show_dry_run(result: Mapping[str, Any]) -> None:
    """Print a dry run for people: a table, and the notes below it."""
    rows = list(result["rows"])
    ArbiterCommand().table([_shown(row) for row in [*rows, {"judge": "in all", **result["total"]}]])
    notes = [f"{row['judge']}: {note}." for row in rows for note in [*row["reasons"], *row["basis"]]]
    if result["unpriced"]:
        notes.append(f"in all: {of_the_priced(result['unpriced'])}.")
    for line in [*notes, REPEATED, _answer(result)]:
        print(line)


def show_collecting_forecast(result: Mapping[str, Any]) -> None:
    """Print for people what collecting would take."""
    names = ("responses", "final", "calls", "prompt_tokens", "completion_tokens", "cost", "cost_at_most")
    arms = result.get("arms", [])
    told = [{"run": arm["run"], **_amounts({name: arm[name] for name in names})} for arm in arms]
    whole = _amounts({name: result[name] for name in names})
    ArbiterCommand().table([*told, {"run": "in all", **whole}] if arms else [whole])
    notes = [f"{one['run']}: {note}." for one in arms or [result] for note in one["notes"]]
    for line in [*notes, REPEATED, _answer(result)]:
        print(line)


def _answer(result: Mapping[str, Any]) -> str:
    answer = {True: "Fits", False: "Does not fit", None: "May not fit"}[result["fits"]]
    return f"{answer}: {result['why']}."


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"judge": row["judge"], **_amounts(row)}


def _amounts(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name.replace("_", " "): f"{value:,}" for name, value in row.items() if type(value) is int}
    money = {"cost": row["cost"], "at most": row["cost_at_most"]}
    shown = {name: None if value is None else dollars(round(value * PICO)) for name, value in money.items()}
    return {**counts, **shown}
