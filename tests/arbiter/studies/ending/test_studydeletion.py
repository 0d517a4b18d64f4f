"""A study is deleted whole, or not at all; nothing of another's goes with it."""

from io import StringIO
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from annotation.access import make_link
from annotation.adjudication import adjudicate
from annotation.models import Gold, Item, Label, Membership, Rater, Rating, Study
from annotation.raters import rater_named
from arbiter.core.errors import UserError
from arbiter.core.models import Job, Purge
from arbiter.studies.ending.studydeletion import PARTS, delete_studies, study_parts
from benchmark.models import Endpoint, Response
from judging.models import Attempt, Judge, Settlement, Verdict
from judging.settlement.settling import settle
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.helpers import endpoint, judge

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
WHY = ("--by", "Ines", "--reason", "It was a trial.")


def worked_on(slug):
    """Make a study in which people and a judge labelled, gold was written and a decision made."""
    study = builders.study(slug)
    first, second, *_ = study.items.all()
    ann = rater_named("ann", "human", study=study)
    builders.draw(study)
    for by in (ann, builders.rater()):
        builders.rate(first, by)
    builders.rate(first, ann, "nonsensical")
    Gold.objects.create(item=first, label=study.scheme.labels.first(), origin="single", author=ann)
    adjudicate(second, rater_named("eva", "human", study=study), "convergence", "It says so.")
    asked_of(study, first)
    settle(study)
    Membership.objects.create(
        study=study, user=builders.User.objects.create_user(f"{slug}-owner"), role="owner"
    )
    make_link(study=study, role="rater")
    Job.objects.create(kind="export", study=study.pk, state="done")
    return study


def asked_of(study, item, **verdict):
    at = judge(study, _endpoint())
    asked = Verdict.objects.create(item=item, study_judge=at, state="unparsed")
    answer = Attempt.objects.create(
        uid=uuid4(), verdict=asked, study_judge=at, outcome="answer", started_at=timezone.now(), latency=1
    )
    Verdict.objects.filter(pk=asked.pk).update(answer=answer, **verdict)
    return answer


def _endpoint():
    return Endpoint.objects.first() or endpoint()


def rows_of(study):
    return {model: set(model._base_manager.filter(**{f"{path}__in": [study.pk]})) for model, path in PARTS}


def test_all_of_it_goes_and_nothing_else():
    gone, other = worked_on("gone"), worked_on("other")
    kept = rows_of(other)
    judges, responses, labels = Judge.objects.count(), Response.objects.count(), Label.objects.count()
    parts = study_parts([gone])
    assert {"ratings": 3, "golds": 1, "attempts": 1, "adjudications": 1}.items() <= parts.items()
    assert delete_studies([gone], who="Ines", why="It was a trial.") == parts
    assert study_parts([gone]) == {} and not Rater.objects.filter(study=gone.pk).exists()
    assert rows_of(other) == kept
    assert (Judge.objects.count(), Response.objects.count(), Label.objects.count()) == (
        judges,
        responses,
        labels,
    )
    connection.check_constraints()
    record = Purge.objects.get()
    assert (record.who, record.what, record.why) == ("Ines", "study gone", "It was a trial.")
    assert record.removed == parts and not record.open


def test_each_table_of_a_study_is_among_its_parts():
    """What refers to a part is a part, or belongs to a program that labels in many studies."""
    parts = {model for model, _ in PARTS}
    for model in apps.get_models(include_auto_created=True):
        refers = {field.related_model for field in model._meta.concrete_fields if field.is_relation}
        programs = {"Judge", "Scorer"}
        assert not refers & parts or model in parts or model.__name__ in programs, model


def test_while_a_job_runs_it_is_refused():
    study = worked_on("tiny")
    job = Job.objects.create(kind="export", study=study.pk)
    with pytest.raises(
        UserError, match=r"^tiny: jobs at work on it: 1, .* wait until they are done, or cancel"
    ):
        delete_studies([study], who="Ines", why="It was a trial.")
    Job.objects.filter(pk=job.pk).conclude("cancelled")
    delete_studies([study], who="Ines", why="It was a trial.")


def test_while_judges_are_asked_it_is_refused():
    study = worked_on("tiny")
    third = study.items.all()[2]
    waiting = Verdict.objects.create(item=third, study_judge=study.judges.get())
    Verdict.objects.filter(pk=waiting.pk).claim("worker", 60)
    with pytest.raises(UserError, match="judges' verdicts being asked for: 1"):
        delete_studies([study], who="Ines", why="It was a trial.")
    assert Rating.objects.count() == 3 and not Purge.objects.exists()
    Verdict.objects.filter(pk=waiting.pk).claimed_by("worker").release()
    delete_studies([study], who="Ines", why="It was a trial.")


def test_answers_that_another_study_took_over_go_with_it_alone():
    lender, borrower = worked_on("lender"), worked_on("borrower")
    answer = Attempt.objects.get(study_judge__study=lender)
    Verdict.objects.filter(item__study=borrower).update(answer=answer, cached=True)
    with pytest.raises(UserError, match=r"study delete lender borrower\.$"):
        delete_studies([lender], who="Ines", why="It was a trial.")
    delete_studies([lender, borrower], who="Ines", why="It was a trial.")
    assert not Study.objects.exists() and not Item.objects.exists() and not Settlement.objects.exists()


# The command


def test_the_command_counts_before_it_deletes():
    study = worked_on("tiny")
    out = StringIO()
    with pytest.raises(CommandError, match="add --yes"):
        call_command("study", "delete", "tiny", *WHY, "--json", stdout=out)
    assert '"deleted": false' in out.getvalue() and Study.objects.get() == study
    told = as_json("study", "delete", "tiny", *WHY, "--yes")
    assert told["deleted"] and told["parts"]["ratings"] == 3 and not Study.objects.exists()
    assert refusal("study", "delete", "tiny", *WHY, "--yes").startswith("There is no study 'tiny'")


def test_the_command_wants_to_know_who_and_why():
    worked_on("tiny")
    said = refusal("study", "delete", "tiny", "--by", " ", "--reason", "It was a trial.", "--yes")
    assert said == "Say who takes it away and why: both are kept."
    assert Study.objects.exists()
