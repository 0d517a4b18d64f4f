"""Which raters of a study are judges, and whose labels among them are simulated."""

from annotation.models import Rater, Rating, Study
from annotation.raters import find_raters, latest_raters
from arbiter.core.errors import UserError
from judging.votes.kept_figures import kept


def judge_raters(study: Study) -> list[Rater]:
    """Return the judges and scorers with a vote in the study, of each name the latest version."""
    return [rater for rater in latest_raters(study) if rater.kind != Rater.Kind.HUMAN]


def is_simulated_judge(study: Study, rater: Rater) -> bool:
    labels = Rating.objects.filter(item__study=study, rater=rater, simulated=True)
    return kept(study, "simulated", rater.pk, labels.exists)


def judges_named(study: Study, name: str = "") -> list[Rater]:
    """Return the judge of that name (its latest version, or NAME@VERSION), or all judges."""
    if not name:
        return judge_raters(study)
    judges = find_raters(study, [name])
    if judges[0].kind == Rater.Kind.HUMAN:
        raise UserError(f"{name!r} is a person; calibration is of judges.")
    return judges


def panel_of(study: Study, source: str) -> list[Rater]:
    """Return the rater of that name, or every judge and scorer that voted."""
    return find_raters(study, [source]) if source else judge_raters(study)
