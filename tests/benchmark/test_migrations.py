"""What stands keeps its meaning: a run that was collected before runs had an endpoint is its subject's
endpoint's."""

import pytest

from benchmark.models import Collection, Run
from tests.databases import as_of, upgrade

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def before():
    """Yield the models as they were, on their tables."""
    with as_of("before-runs-had-endpoints") as apps:
        yield apps.get_model


def test_a_run_that_was_collected_is_its_subjects_endpoints_and_an_imported_one_nobodys(before):
    make = lambda model, **fields: before("benchmark", model).objects.create(**fields)  # noqa: E731
    suite = make("Suite", slug="tiny", title="T")
    category = make("Category", suite=suite, key="a", title="A", position=1)
    task = make("Task", suite=suite, category=category, key="t", text="T", text_hash="h")
    endpoint = make("Endpoint", name="local", base_url="http://127.0.0.1:1/v1")
    subject = make("SubjectModel", name="m", endpoint=endpoint)
    condition = make("Condition", name="c", content_hash="c")
    for name, attempts, state in (("collected", 2, "done"), ("stopped", 1, "todo"), ("imported", 0, "done")):
        run = make("Run", suite=suite, subject=subject, condition=condition, name=name)
        make("Response", run=run, task=task, state=state, attempts=attempts)
    upgrade()
    told = {run.name: (run.endpoint and run.endpoint.name, run.base_url) for run in Run.objects.all()}
    ours = ("local", "http://127.0.0.1:1/v1")
    assert told == {"collected": ours, "stopped": ours, "imported": (None, "")}
    # No worker goes on with what was stopped before workers collected.
    statuses = dict(Collection.objects.values_list("run__name", "status"))
    assert statuses == {"collected": "running", "stopped": "cancelled"}
