"""A study's pages while an import brings items into it: what is made of the whole waits, and says so."""

import pytest
from django.contrib.messages import get_messages

from annotation.importing.importjob import KIND
from annotation.models import Rater
from arbiter.core import jobkinds
from arbiter.core.errors import UserError
from arbiter.core.models import Job
from arbiter.web.study import job_pages
from judging.models import GoldSplit, Reveal, Verdict
from tests import builders
from tests.judging.calibrated import golden, judged
from tests.judging.helpers import endpoint, judge

pytestmark = pytest.mark.django_db
SAID = "An import is under way (0 %) into study &#x27;tiny&#x27;"
HOME = "/studies/tiny"


@pytest.fixture
def study(db):
    study = builders.study(tasks=8, epochs=2)
    golden(study)
    judged(study)
    judged(study, "judge-b", 3)
    return study


@pytest.fixture
def owner(client, cast):
    client.force_login(cast["owner"])
    return client


@pytest.fixture
def importing(study):
    arguments = {"folder": "1", "suite": "tiny", "study": "tiny"}
    return Job.objects.create(kind=KIND, study=study.pk, arguments=arguments)


def text(answer):
    return " ".join(answer.content.decode().split())


PAGES = ("agreement", "judges/", "judges/biases", "rates?source=judge-a", "report")
FILES = ("export.csv", "export.jsonl", "export.parquet", "figures/rates.svg", "figures/judges.csv")


@pytest.mark.parametrize("page", PAGES + FILES)
def test_pages_and_files_made_of_all_of_it_say_that_they_wait(owner, importing, page):
    answer = owner.get(f"{HOME}/{page}")
    assert answer.status_code == 409 and SAID in text(answer)
    assert f'href="{HOME}/agreement"' in text(answer)  # it is still the study's page
    assert owner.get(f"{HOME}/{page}", headers={"accept": "application/json"}).json()["kind"] == "conflict"
    Job.objects.update(state=Job.State.DONE)
    assert owner.get(f"{HOME}/{page}").status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "",
        "plan",
        "plan/step",
        "plan/before?tasks=9&epochs=2",
        "settlement",
        "gold/",
        "costs",
        "items/",
        "work/",
    ],
)
def test_the_others_stay_open(owner, importing, page):
    answer = owner.get(f"{HOME}/{page}", follow=True)
    assert answer.status_code == 200
    assert (SAID in text(answer)) == (page in ("plan", "plan/step"))


@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("judges/split", {"share": "50"}),
        ("settle", {"rule": "majority"}),
        ("gold/promote", {"source": "consensus"}),
    ],
)
def test_what_would_be_written_of_half_a_study_is_refused(owner, study, importing, page, sent):
    answer = owner.post(f"{HOME}/{page}", sent)
    assert answer.status_code == 409 and SAID in text(answer)
    assert not GoldSplit.objects.exists() and not study.settlement_versions.exists()


def test_a_judge_is_not_asked_on_half_of_the_gold(owner, study, importing):
    asked = judge(study, endpoint())
    answer = owner.post(f"{HOME}/judges/{asked.judge.rater_id}/tune")
    assert "An import is under way" in str(next(iter(get_messages(answer.wsgi_request))))
    assert not Verdict.objects.exists()


def test_an_import_that_cant_be_taken_back_answers_with_a_conflict(owner, importing, monkeypatch):
    def refused(job):
        raise UserError(f"Import {job.pk} only goes forward.")

    monkeypatch.setattr(jobkinds, "cancel_job", refused)
    answer = owner.post(f"{HOME}/jobs/{importing.pk}/cancel")
    assert answer.status_code == 409 and "only goes forward" in text(answer)


def test_a_judges_page_and_a_look_at_the_sealed_part_wait(owner, study, importing):
    page = f"{HOME}/judges/{Rater.objects.get(name='judge-a').pk}"
    GoldSplit.objects.create(study=study, seed=0, share=0.5, parts={})
    for answer in (owner.get(page), owner.post(f"{page}/look", {"reason": "To see."})):
        assert answer.status_code == 409 and SAID in text(answer)
    assert not Reveal.objects.exists()


def test_the_job_for_a_large_study_is_not_taken_on(owner, study, importing, monkeypatch):
    monkeypatch.setattr(job_pages, "AT_ONCE", dict.fromkeys(job_pages.AT_ONCE, 0))
    for page in ("export.csv", "report"):
        assert owner.post(f"{HOME}/{page}").status_code == 409
    assert owner.post(f"{HOME}/settle", {"rule": "majority"}).status_code == 409
    assert Job.objects.exclude(kind=KIND).count() == 0
