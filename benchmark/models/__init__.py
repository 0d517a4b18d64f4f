"""WHAT is judged: suites of tasks, subject models, conditions, runs, their responses and how they were
collected."""

from benchmark.models.collecting import Collection, CollectionAttempt, CollectionPlan
from benchmark.models.endpoints import Endpoint, EndpointCheck
from benchmark.models.runs import Response, Run
from benchmark.models.suites import (
    Category,
    Condition,
    ConditionManager,
    SubjectModel,
    SubjectModelManager,
    Suite,
    Task,
    kept_apart,
)

__all__ = [
    "Category",
    "Collection",
    "CollectionAttempt",
    "CollectionPlan",
    "Condition",
    "ConditionManager",
    "Endpoint",
    "EndpointCheck",
    "Response",
    "Run",
    "SubjectModel",
    "SubjectModelManager",
    "Suite",
    "Task",
    "kept_apart",
]
