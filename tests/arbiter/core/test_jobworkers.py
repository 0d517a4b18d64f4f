"""Whichever worker there is does jobs of every kind: runworker beside its verdicts, or one of
Celery's that was woken.
"""

import pytest
from django.conf import settings

from arbiter.analysis.reportjob import ReportArguments
from arbiter.core.jobfiles import job_file
from arbiter.core.jobkinds import ask_for_job
from arbiter.core.models import Job
from arbiter.releases.exportjob import ExportArguments
from arbiter.simulator.running import running_simulator
from judging.models import SettlementVersion
from judging.panel.wanted_verdicts import want_verdicts
from judging.settlement.settlejob import SettleArguments
from tests import builders
from tests.judging.brokers import needs_broker, sweep, worker
from tests.judging.helpers import endpoint, judge, states
from tests.processes import running
from tests.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


def ask_all(study):
    return [
        ask_for_job("export", ExportArguments("parquet"), study=study.pk),
        ask_for_job("report", ReportArguments(), study=study.pk),
        ask_for_job("settle", SettleArguments("majority"), study=study.pk),
    ]


def assert_all_done(asked):
    jobs = [Job.objects.get(pk=job.pk) for job in asked]
    assert [(job.state, job.error, job.attempts) for job in jobs] == [("done", "", 1)] * 3
    assert [job_file(job) is not None for job in jobs] == [True, True, False]
    assert SettlementVersion.objects.count() == 1


def test_runworker_does_jobs_beside_its_verdicts():
    study = builders.study()
    builders.rate(study.items.first(), builders.rater("judge-a"))
    with running_simulator() as simulator:
        judge(study, endpoint(simulator.base_url))
        want_verdicts(study)
        asked = ask_all(study)
        with running("manage.py", "runworker", "--until-idle") as process:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said
    assert states(study) == {"done": 6}
    assert_all_done(asked)


def test_a_worker_of_one_endpoint_leaves_jobs_to_others():
    endpoint()
    asked = ask_for_job("export", ExportArguments("csv"), study=builders.study().pk)
    with running("manage.py", "runworker", "--until-idle", "--endpoint", "local") as process:
        assert process.wait(60) == 0
    assert Job.objects.get(pk=asked.pk).state == "open"


@needs_broker
def test_a_celery_worker_is_woken_for_a_job():
    assert settings.CELERY_BROKER_URL
    sweep()
    study = builders.study()
    with worker("-c", "1", ARBITER_LEASE_SECONDS="600"):
        first = ask_for_job(
            "export", ExportArguments("csv"), study=study.pk
        )  # which it may find by itself as it starts
        wait_until(lambda: Job.objects.get(pk=first.pk).state == "done")
        asked = ask_all(study)
        wait_until(lambda: not Job.objects.unfinished().exists())
    sweep()
    assert_all_done(asked)
