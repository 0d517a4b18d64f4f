"""What rates can be shown of: ways to estimate, which of them the design of the gold allows, and what was
asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation.models import Gold, Study
from annotation.raters import latest_raters
from arbiter.analysis.judgeraters import judge_raters, panel_of
from arbiter.analysis.rates.estimates import Estimates, carried_errors_or_why, refusal
from arbiter.analysis.rates.ratespec import RateSpec
from arbiter.core.errors import UserError
from judging.models import Settlement
from judging.votes.goldsample import gold_sample
from judging.votes.kept_figures import kept

BY = ("subject,condition", "category", "subject,condition,category", "subject", "condition")
DESIGNED = {
    "corrected": "corrected for judge error",
    "gold": "gold alone, design-weighted",
    "transported": "judge errors carried over (Rogan-Gladen)",
    "ppi": "prediction-powered (PPI++), for comparison",
}
TAKEN = {"majority": "majority of the votes", "settled": "settled labels"}
OF = {"valid": "valid responses", "all": "all responses"}


@dataclass(frozen=True)
class RateView:
    """What the page was asked. source: a key of DESIGNED or TAKEN, or a rater's name."""

    source: str
    by: tuple[str, ...]
    finite: bool
    of: str

    @property
    def spec(self) -> RateSpec:
        if self.source in DESIGNED or self.source in TAKEN:
            return RateSpec(self.source, self.by, self.finite)
        return RateSpec("raw", self.by, self.finite, self.source)

    @property
    def query(self) -> dict[str, str]:
        return {
            "source": self.source,
            "by": ",".join(self.by),
            "over": "items" if self.finite else "tasks",
            "of": self.of,
        }


def rate_sources(study: Study) -> dict[str, dict[str, str]]:
    """Return what rates can be shown of, in groups; the first is shown unless asked otherwise."""
    raters = {str(rater): str(rater) for rater in latest_raters(study)}
    taken = {"majority": TAKEN["majority"]} if raters else {}
    if Settlement.objects.filter(item__study=study, label__isnull=False).exists():
        taken = {"settled": TAKEN["settled"], **taken}
    groups = {"As labelled": taken | raters}
    if Gold.objects.current_in(study).exists():
        groups = {"By human gold": DESIGNED if judge_raters(study) else {"gold": DESIGNED["gold"]}, **groups}
    return {name: group for name, group in groups.items() if group}


def rate_view(study: Study, query: Mapping[str, str]) -> RateView | None:
    """Return what the query asks to see; None where nobody has labelled anything. UserError on what can't be
    asked."""
    offered = [key for group in rate_sources(study).values() for key in group]
    if not offered:
        return None
    by, of = query.get("by") or BY[0], query.get("of") or "valid"
    source = query.get("source") or _usual(study, offered)
    if source not in offered or by not in BY or of not in OF:
        raise UserError(f"There is no source {source!r}, grouping {by!r} or denominator {of!r} here.")
    return RateView(source, tuple(by.split(",")), query.get("over") == "items", of)


def _usual(study: Study, offered: Sequence[str]) -> str:
    """Return the source that is shown unless another is asked for: corrected where that is allowed."""
    if "corrected" in offered and not refusals_by_estimator(study)["corrected"]:
        return "corrected"
    return next((key for key in offered if key not in DESIGNED), offered[0])


def refusals_by_estimator(study: Study) -> dict[str, str]:
    """Return for each estimator that needs gold why the design does not allow it; empty where it does."""
    return kept(study, "rates-allowed", "", lambda: _allowed(study))


def _allowed(study: Study) -> dict[str, str]:
    judges = panel_of(study, "")
    design = gold_sample(study, raters=judges).design
    specs = {name: RateSpec(name, ("condition",)) for name in DESIGNED}
    refusals = {name: refusal(one, judges, design) for name, one in specs.items()}
    if not refusals["transported"]:
        _, refusals["transported"] = carried_errors_or_why(study, specs["transported"], judges)
    return refusals


def raw_beside(view: RateView, estimated: Estimates) -> RateSpec | None:
    """Return what a corrected rate stands beside: its judge's own labels, or the panel's majority."""
    if view.source not in DESIGNED or not (estimated.judges or view.source == "gold"):
        return None
    if len(estimated.judges) == 1:
        return RateSpec("raw", view.by, view.finite, estimated.judges[0])
    return RateSpec("majority", view.by, view.finite)


def source_label(source: str) -> str:
    return DESIGNED.get(source) or TAKEN.get(source) or source
