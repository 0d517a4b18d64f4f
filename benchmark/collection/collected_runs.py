"""The run that is collected: of which model, at which endpoint, of which tasks."""

from typing import Any

from arbiter.calls.dialects import dialect, spoken
from arbiter.calls.findings import NOTHING, Findings, said_of_left_out
from arbiter.core.errors import UserError
from benchmark.models import Condition, Endpoint, Response, Run, SubjectModel, Suite, Task

State = Response.State


def subject_named(name: str, endpoint: Endpoint | None) -> SubjectModel:
    """Return the model under test of this name, made where there is none. The endpoint, where one is given,
    is remembered for the next time; UserError where none is known."""
    subject = SubjectModel.objects.called_or_made(name.strip())
    if endpoint and subject.endpoint_id != endpoint.pk:
        subject.endpoint = endpoint
        subject.save(update_fields=["endpoint"])
    if subject.endpoint is None:
        raise UserError(
            f"No endpoint is known for {name!r}; give --base-url URL (and --key-variable NAME) once."
        )
    return subject


def run_at(
    endpoint: Endpoint,
    suite: Suite,
    subject: SubjectModel,
    condition: Condition,
    name: str = "",
    *,
    moved: bool = False,
) -> Run:
    """Return the run of this name, at this endpoint. Refuse it where its responses came from elsewhere, so
    that no run mixes the answers of two services; `moved` says that it is the same service at another
    address."""
    here = {"endpoint": endpoint, "base_url": endpoint.base_url}
    run, _ = Run.objects.get_or_create(
        suite=suite, subject=subject, condition=condition, name=name, defaults=here
    )
    if run.base_url != endpoint.base_url and run.responses.filter(state=State.DONE).exists():
        if not (moved and run.base_url):
            raise UserError(_elsewhere(run, endpoint))
        run.config = {**run.config, "moved_from": [*run.config.get("moved_from", []), run.base_url]}
    run.endpoint, run.base_url = endpoint, endpoint.base_url
    run.save(update_fields=["endpoint", "base_url", "config"])
    return run


def _elsewhere(run: Run, endpoint: Endpoint) -> str:
    """Say that a run has one endpoint, and what can be done."""
    if not run.base_url:
        return (
            f"The responses of run {run} were imported; to collect at {endpoint.base_url}, name a run of "
            "its own: --run NAME."
        )
    return (
        f"The responses of run {run} came from {run.base_url}, and a run has one endpoint; to collect at "
        f"{endpoint.base_url}, name a run of its own (--run NAME), or say that it is the same service at a "
        "new address (--moved)."
    )


def require_tasks(suite: Suite, condition: Condition) -> list[Task]:
    """Return the tasks that are asked, UserError where there are none. Those reserved for training raters are
    not: their responses could enter no study."""
    tasks = list(suite.tasks.filter(training=False, language=condition.language))
    if not tasks:
        raise UserError(
            f"Suite {suite} has no task in the language of condition {condition}, {condition.language!r}."
        )
    return tasks


def request_for(
    run: Run, task: Task, epoch: int, dialect_name: str, findings: Findings = NOTHING
) -> dict[str, Any]:
    """Return what the run's model is asked for its response to a task, without what it is known to refuse."""
    asked = {
        "model": run.subject.name,
        "messages": run.condition.messages(task),
        **spoken(dialect(dialect_name), {"seed": epoch, **run.condition.sampling}),
    }
    return findings.as_taken(asked)


def findings_for(run: Run) -> Findings:
    """Return what a check found that the run's model takes at its endpoint."""
    return run.endpoint.findings(run.subject.name) if run.endpoint else NOTHING


def not_sent(run: Run) -> list[str]:
    """Say what of the run's sampling is not sent, since a check found it refused."""
    if run.endpoint is None:
        return []
    asked = spoken(dialect(run.endpoint.dialect), {"seed": 1, **run.condition.sampling})
    return said_of_left_out(findings_for(run), asked, run.subject.name, run.endpoint.name)
