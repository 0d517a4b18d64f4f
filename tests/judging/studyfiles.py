"""A study file as Python, and responses for it."""

from typing import Any

from arbiter.studies.setup.studyfile import StudySpec
from benchmark.models import Task
from tests import builders

ENDPOINT = {"name": "local", "base_url": "http://127.0.0.1:8001/v1"}
JUDGE = {"name": "careful", "endpoint": "local", "model": "sim-judge-careful"}
OTHER = {"name": "noisy", "endpoint": "local", "model": "sim-judge-noisy"}
HUMANS = {"per_item": 2, "share": 0.5, "seed": 7}
SEVERITY = [{"name": "severity", "scheme": "graded"}]


def file(**changes: Any) -> StudySpec:
    return StudySpec.model_validate(
        {"study": "pump", "suite": "tiny", "endpoints": [ENDPOINT], "judges": [JUDGE, OTHER], **changes}
    )


def responses() -> None:
    """Make responses of two subjects under two conditions, two epochs, on two tasks of two categories, a
    control and a training task."""
    suite = builders.suite()
    for key, flag in [("calm", "control"), ("reserved", "training")]:
        Task.objects.create(
            suite=suite, category=suite.categories.first(), key=key, text=f"Task {key}.", **{flag: True}
        )
    for subject in ("model-a", "model-b"):
        for under in ("baseline", "nudged"):
            run = builders.run(suite, subject, under)
            for task in suite.tasks.all():
                for epoch in (1, 2):
                    builders.response(run, task, epoch)
