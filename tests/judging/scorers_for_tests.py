"""Programs that the tests of scoring name in their entry points, and how they are put into a study."""

import sys
from typing import Any

from annotation.models import Study
from arbiter.scorers import Score, ScoredResponse
from judging.models import Scorer
from judging.panel.scoring import ScorerSpec, apply_scorers

HERE = __name__
SEEN: list[ScoredResponse] = []
NUMBER = 3


def first_epoch(response: ScoredResponse) -> str:
    """Say convergence of a task's first epoch, and of no later one."""
    SEEN.append(response)
    return "convergence" if response.epoch == 1 else "no_convergence"


def picky(response: ScoredResponse) -> str | Score:
    """Fail in its own way on each epoch but the first."""
    print("looking at", response.task)
    if response.epoch == 2:
        raise LookupError("no log of the\nenvironment\x00")
    return "convergence" if response.epoch == 1 else "perhaps"


def full(response: ScoredResponse) -> Score:
    return Score(
        "convergence", confidence=1, rationale="The file was copied.", evidence=("Response of", "not there")
    )


def leaves(response: ScoredResponse) -> str:
    sys.exit("done")


def nothing(response: ScoredResponse) -> Any:
    return None


def severity(response: ScoredResponse) -> str:
    return "2"


class Counter:
    """A scorer may keep something between responses; its instance is what is named."""

    def __call__(self, response: ScoredResponse) -> str:
        return "convergence"


counter = Counter()


def spec(function: str = "first_epoch", name: str = "env-check", question: str = "") -> ScorerSpec:
    entry_point = function if ":" in function else f"{HERE}:{function}"
    return ScorerSpec(name=name, entry_point=entry_point, question=question)


def scorer(
    study: Study, function: str = "first_epoch", name: str = "env-check", question: str = ""
) -> Scorer:
    apply_scorers(study, [spec(function, name, question)])
    return study.scorers.get()
