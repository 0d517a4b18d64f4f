"""A plan as a change of the study file, which an owner applies: what is drawn only grows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from django.db.models import Count

from annotation.draws import budgeted
from annotation.humanplan import DrawSpec
from annotation.models import Draw, Study
from arbiter.analysis.planning.samplingframe import SamplingFrame

PLACES = 4  # of a probability


@dataclass(frozen=True)
class StudyFileChange:
    """What to change in the study file. `keys`: key, what it is and what it becomes; `text`: as the file has
    it."""

    keys: tuple[tuple[str, Any, Any], ...]
    text: str
    sentence: str


def least_probability(draw: Draw, stratum: str, wanted: int, items: int) -> float:
    """Return the least probability, to four places, that draws so many of the stratum's items: their numbers
    are permanent."""
    if wanted >= items:
        return 1.0
    numbers = draw.framed.filter(stratum=stratum).order_by("number").values_list("number", flat=True)
    last = float(numbers[wanted - 1])
    step: int = 10**PLACES
    return min(1.0, (math.floor(last * step) + 1) / step)


def study_file_change(study: Study, frame: SamplingFrame, labels: Sequence[int]) -> StudyFileChange:
    """Return the change that draws as many items as `labels` says of each stratum."""
    draw = study.draws.filter(name=frame.draw).first() if frame.draw else None
    if draw is None:
        return _first_draw(frame, labels)
    wanted = {
        one.name: least_probability(draw, one.name, count, one.items)
        for one, count in zip(frame.strata, labels, strict=True)
        if count > one.drawn
    }
    present = dict(draw.strata.values_list("name", "probability"))
    raised = {name: value for name, value in wanted.items() if value > present.get(name, 0)}
    if not raised:
        return StudyFileChange((), "", "Enough items are drawn already: what is missing is their labels.")
    if draw.name not in ("main", "gold"):
        return StudyFileChange(
            (), "", f"The draw {draw.name!r} is not in the study file, so it can't be grown from there."
        )
    spec = DrawSpec.model_validate({key: draw.plan[key] for key in DrawSpec.model_fields if key in draw.plan})
    keys = _keys(draw, spec, raised, present)
    head = ["humans"] if draw.name == "main" else ["humans", "gold"]
    named = tuple((".".join([*head, *path]), before, after) for path, before, after in keys)
    return StudyFileChange(
        named, _yaml(head, keys), "Raise it in the study file and apply it: nothing drawn is undrawn."
    )


Key = tuple[list[str], Any, Any]


def _keys(draw: Draw, spec: DrawSpec, raised: dict[str, float], present: dict[str, float]) -> list[Key]:
    plan = spec.chosen()
    if plan == "disagreement":
        return _budget(draw, spec, raised)
    if plan == "strata" and not spec.by:
        return [(["strata", name, "probability"], present.get(name), value) for name, value in raised.items()]
    if plan == "strata":
        return [(["probabilities", name], present.get(name), value) for name, value in raised.items()]
    return [(["share"], present.get("all"), raised["all"])]


def _budget(draw: Draw, spec: DrawSpec, raised: dict[str, float]) -> list[Key]:
    """Return the least budget, and the share of it for split items, that give each stratum its probability or
    more."""
    sizes = dict(draw.framed.order_by().values_list("stratum").annotate(Count("pk")))
    needed = {name: value * sizes.get(name, 0) for name, value in raised.items()}
    split = max(
        needed.get("split", 0.0), spec.split_share * (spec.budget or 0) if "split" not in needed else 0
    )
    rest = needed.get("unanimous", 0.0)
    share = round(min(0.5, max(0.3, split / (split + rest))), 2) if split + rest else spec.split_share
    budget = max(spec.budget or 1, math.ceil(split + rest))
    while budget < sum(sizes.values()):
        probabilities = budgeted(sizes, budget, share)
        if all(probabilities[name] >= value for name, value in raised.items()):
            break
        budget += max(1, budget // 200)
    keys: list[Key] = [(["budget"], spec.budget, min(budget, max(1, sum(sizes.values()))))]
    return keys if share == spec.split_share else [*keys, (["split_share"], spec.split_share, share)]


def _first_draw(frame: SamplingFrame, labels: Sequence[int]) -> StudyFileChange:
    """Return the change of a study in which nothing is drawn yet: experts' gold, by whether the judges
    split."""
    values = {
        one.name: min(1.0, math.ceil(max(count, 1) / one.items * 10**PLACES) / 10**PLACES)
        for one, count in zip(frame.strata, labels, strict=True)
    }
    keys: list[Key] = [(["by"], None, "judges")]
    keys += [(["probabilities", name], None, values.get(name, 1.0)) for name in ("split", "unanimous")]
    named = tuple((".".join(["humans", "gold", *path]), before, after) for path, before, after in keys)
    return StudyFileChange(named, _yaml(["humans", "gold"], keys), "Add this to the study file and apply it.")


def _yaml(head: Sequence[str], keys: Sequence[Key]) -> str:
    """Write keys as the study file has them; strata are a list there, of which the others stay as they
    are."""
    tree: dict[str, Any] = {}
    for path, _, after in keys:
        if path[0] == "strata":
            tree.setdefault("strata", []).append({"name": path[1], "probability": after})
        else:
            inner = tree
            for word in path[:-1]:
                inner = inner.setdefault(word, {})
            inner[path[-1]] = after
    for word in reversed(head):
        tree = {word: tree}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
