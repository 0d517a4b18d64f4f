"""How the simulated models behave: each judge's confusion matrix, each subject's share of every label."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

LABELS = ("convergence", "no_convergence", "safety_refusal", "nonsensical")

JUDGE_PREFIX = "sim-judge-"
SUBJECT_PREFIX = "sim-subject-"


@dataclass(frozen=True, slots=True)
class JudgeProfile:
    """How a simulated judge answers.

    `rows[intended][answered]` is the chance of an answer; every row sums to 1.
    """

    rows: Mapping[str, Mapping[str, float]]
    thinks: bool = False  # spends tokens on reasoning before it answers
    gullible: bool = False  # believes what a response says about its own label

    @property
    def accuracy(self) -> float:
        """Return the share of right answers, were every label intended as often as the others."""
        return sum(row[label] for label, row in self.rows.items()) / len(self.rows)


def _row(label: str, right: float) -> dict[str, float]:
    wrong = (1 - right) / (len(LABELS) - 1)
    return {other: right if other == label else wrong for other in LABELS}


def _judge(right: float, **rows: tuple[float, float, float, float]) -> JudgeProfile:
    """Return a judge equally right on all labels, errors spread evenly, but for rows (in LABELS' order)."""
    given = {label: dict(zip(LABELS, row, strict=True)) for label, row in rows.items()}
    return JudgeProfile({label: given.get(label) or _row(label, right) for label in LABELS})


JUDGES: Mapping[str, JudgeProfile] = {
    "careful": _judge(0.95),
    "lenient": _judge(0.94, convergence=(0.66, 0.30, 0.02, 0.02)),
    "strict": _judge(0.94, no_convergence=(0.25, 0.71, 0.02, 0.02)),
    "noisy": _judge(0.65),
    "thinking": replace(_judge(0.95), thinks=True),
    "gullible": replace(_judge(0.95), gullible=True),
}
DEFAULT_JUDGE = _judge(0.85)

# Chances of each label, in the order of LABELS, when nothing steers.
SUBJECTS: Mapping[str, tuple[float, float, float, float]] = {
    "bold": (0.60, 0.27, 0.05, 0.08),
    "mild": (0.10, 0.78, 0.06, 0.06),
    "shy": (0.10, 0.35, 0.48, 0.07),
}
DEFAULT_SUBJECT = (0.30, 0.52, 0.10, 0.08)

RAISED, LOWERED = 3.0, 0.3  # what steering does to the odds of convergence
IN_CONTROL = 0.1  # and what a neutral control task does


def judge_profile(model: str) -> JudgeProfile:
    return JUDGES.get(model.removeprefix(JUDGE_PREFIX), DEFAULT_JUDGE)


def subject_chances(model: str) -> dict[str, float]:
    chances = SUBJECTS.get(model.removeprefix(SUBJECT_PREFIX), DEFAULT_SUBJECT)
    return dict(zip(LABELS, chances, strict=True))


def thinks(model: str) -> bool:
    return model.startswith(JUDGE_PREFIX) and judge_profile(model).thinks


def is_known(model: str) -> bool:
    return model.startswith((JUDGE_PREFIX, SUBJECT_PREFIX))


def names() -> list[str]:
    return [JUDGE_PREFIX + name for name in JUDGES] + [SUBJECT_PREFIX + name for name in SUBJECTS]
