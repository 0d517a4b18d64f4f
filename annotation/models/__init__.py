"""WHO labels and how: schemes, studies, items, raters, assignments and the rating ledger."""

from annotation.models.access import AccessLink, Membership, SuiteAccess, Tries
from annotation.models.assignments import Assignment, AssignmentQuerySet, Serving, Skip
from annotation.models.decisions import Adjudication, Referral
from annotation.models.draws import Draw, DrawnItem, DrawnItemQuerySet, Stratum
from annotation.models.gold import Gold, GoldQuerySet
from annotation.models.items import Item, opaque_key
from annotation.models.raters import Enrolment, Rater, TrainingAnswer
from annotation.models.ratings import Rating
from annotation.models.schemes import Label, LabelScheme
from annotation.models.studies import Guideline, Question, Study
from annotation.votes import PlacePurpose

__all__ = [
    "AccessLink",
    "Adjudication",
    "Assignment",
    "AssignmentQuerySet",
    "Draw",
    "DrawnItem",
    "DrawnItemQuerySet",
    "Enrolment",
    "Gold",
    "GoldQuerySet",
    "Guideline",
    "Item",
    "Label",
    "LabelScheme",
    "Membership",
    "PlacePurpose",
    "Question",
    "Rater",
    "Rating",
    "Referral",
    "Serving",
    "Skip",
    "Stratum",
    "Study",
    "SuiteAccess",
    "TrainingAnswer",
    "Tries",
    "opaque_key",
]
