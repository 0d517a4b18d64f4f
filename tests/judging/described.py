"""A study described by a document, and its judges' templates edited."""

from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.judgetemplates import edit_template
from arbiter.studies.setup.studyfile import study_of
from tests import builders
from tests.judging.helpers import CLOSED


def described_study():
    """Make a study described by a document, as studies from files are."""
    of = builders.suite("tiny", 6)
    for task in of.tasks.all():
        for epoch in (1, 2):
            builders.response(builders.run(of), task, epoch)
    judges = [
        {"name": name, "endpoint": "local", "model": f"sim-judge-{name}"} for name in ("careful", "noisy")
    ]
    contents = {
        "study": "tiny",
        "suite": "tiny",
        "endpoints": [{"name": "local", "base_url": CLOSED}],
        "judges": judges,
    }
    return apply(study_of(contents, {})).study


def of(study, name):
    return study.judges.select_related("judge__rater").get(active=True, judge__rater__name=name)


def text_of(study, name="careful"):
    return of(study, name).judge.template_text


def edited(study, text=None, name="careful", before=None):
    mine = of(study, name)
    before = mine.judge.template_text if before is None else before
    return edit_template(study, mine.judge.rater, text or before + "\nThink twice.\n", before)
