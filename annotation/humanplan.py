"""How a study's items come to people: what a study file says under `humans`, checked."""

import json
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from annotation.models import Study
from arbiter.core.basespec import BaseSpec

StratumName = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
NO_CHANCE = "no rate can be estimated from a plan that leaves items without a chance of being drawn"


def _probability(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"should be above 0 and at most 1, as {NO_CHANCE}; it is {value:g}")
    return value


Probability = Annotated[float, AfterValidator(_probability)]

CONSENT = """You are about to read responses that language models gave to difficult tasks. Some describe \
deception, sabotage or the misuse of computer systems; now and then one is unpleasant. Nothing in them is an \
instruction to you.

What you label is stored with the time you took and published under a pseudonym. You may skip any response \
and stop whenever you like; what you have labelled stays."""


class WhereSpec(BaseSpec):
    """Which items a stratum holds; what is left empty asks nothing."""

    judges: Literal["unanimous", "split"] | None = None
    subjects: list[str] = []
    conditions: list[str] = []
    categories: list[str] = []
    languages: list[str] = []


class StratumSpec(BaseSpec):
    name: StratumName
    where: WhereSpec = WhereSpec()
    probability: Probability


class DrawSpec(BaseSpec):
    """A draw: which items, with what probability, for how many people each."""

    plan: Literal["everyone", "random", "disagreement", "strata"] | None = None
    per_item: int = Field(2, ge=1, le=100)
    share: Probability | None = None
    budget: int | None = Field(None, ge=1, le=10_000_000)
    split_share: float = Field(0.4, ge=0.3, le=0.5)
    by: Literal["judges", "category", "condition"] | None = None
    probabilities: dict[str, Probability] = {}
    strata: list[StratumSpec] = []
    seed: int = Field(0, ge=-(2**63), lt=2**63)

    @field_validator("strata")
    @classmethod
    def told_apart(cls, strata: list[StratumSpec]) -> list[StratumSpec]:
        names = [stratum.name for stratum in strata]
        if doubled := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"there are two strata named {doubled[0]!r}")
        return strata

    @model_validator(mode="after")
    def one_plan(self) -> "DrawSpec":
        plan = self.chosen()
        wanted = {
            "everyone": (),
            "random": ("share",),
            "disagreement": ("budget", "split_share"),
            "strata": ("strata", "by", "probabilities"),
        }[plan]
        for key in ("share", "budget", "split_share", "by", "probabilities", "strata"):
            given = getattr(self, key) != DrawSpec.model_fields[key].get_default()
            if (
                given
                and key not in wanted
                and not (plan == "everyone" and key == "share" and self.share == 1)
            ):
                raise ValueError(f"the plan {plan} takes no {key}")
        if plan == "random" and self.share is None:
            raise ValueError("the plan random needs a share: of all items, how many people are to label")
        if plan == "disagreement" and self.budget is None:
            raise ValueError("the plan disagreement needs a budget: how many items people can label")
        if plan == "strata":
            self._strata_told()
        return self

    def _strata_told(self) -> None:
        if not (self.strata or self.by):
            raise ValueError("the plan strata needs strata, or by with probabilities")
        if self.by and self.strata:
            raise ValueError("give strata or by, not both")
        if self.strata and self.probabilities:
            raise ValueError("probabilities go with by; strata have a probability each")
        if self.by and not self.probabilities:
            raise ValueError(f"by: {self.by} needs probabilities: a number above 0 for each, or for default")

    def chosen(self) -> str:
        """Return the plan: the one named, else the one that the other keys are for."""
        if self.plan:
            return self.plan
        if self.strata or self.by or self.probabilities:
            return "strata"
        if self.budget is not None:
            return "disagreement"
        return "random" if self.share is not None else "everyone"

    def needs_judges(self) -> bool:
        """Tell whether strata depend on how judges voted, so that the draw has to wait for them."""
        by_votes = self.by == "judges" or any(stratum.where.judges for stratum in self.strata)
        return self.chosen() == "disagreement" or by_votes


class GoldDrawSpec(DrawSpec):
    """Items for experts, whose labels become gold."""

    per_item: int = Field(1, ge=1, le=10)


class ChecksSpec(BaseSpec):
    """Shares of what a rater is given that are checks, which nobody can tell from other items."""

    gold: float = Field(default=0, ge=0, le=0.5)
    repeats: float = Field(default=0, ge=0, le=0.5)
    repeat_after: int = Field(default=20, ge=1, le=10_000)


class TrainingSpec(BaseSpec):
    """A round of reserved examples that raters have to pass."""

    examples: int = Field(16, ge=1, le=16)
    score: float = Field(0.75, gt=0, le=1)
    rounds: int = Field(3, ge=1, le=100)


class AdjudicationSpec(BaseSpec):
    names: bool = False
    own_items: bool = False


class HumansSpec(DrawSpec):
    extra_when_split: int = Field(0, ge=0, le=20)
    per_rater: int | None = Field(None, ge=1, le=1_000_000)
    gold: GoldDrawSpec | None = None
    training: TrainingSpec | None = None
    checks: ChecksSpec = ChecksSpec()
    show: list[Literal["reasoning", "condition", "transcript"]] = []
    guidelines: str = ""
    consent: str = ""
    break_after: int | None = Field(None, ge=1, le=1440)
    raters_see: list[Literal["accuracy", "consistency"]] = []
    owner_labels: bool = False
    adjudication: AdjudicationSpec = AdjudicationSpec()

    def consent_text(self) -> str:
        return self.consent.strip() or CONSENT


def humans_of(study: Study) -> HumansSpec:
    """Return the study's human plan; of a study without one, the defaults."""
    return _parsed(json.dumps(study.humans, sort_keys=True))


@lru_cache(maxsize=256)
def _parsed(plan: str) -> HumansSpec:
    return HumansSpec.model_validate_json(plan)
