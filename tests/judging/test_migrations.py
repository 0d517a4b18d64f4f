"""A database of the first release comes through the panel's migrations whole."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from arbiter.core.text import digest
from arbiter.studies.setup.studyfile import JudgeSpec
from arbiter.studies.setup.studyjudges import save_judge
from benchmark.models import Endpoint
from judging.models import Attempt, Judge, StudyJudge, Verdict
from judging.panel.wanted_verdicts import want_verdicts
from tests.databases import EARLIER, as_of, upgrade

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
THEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def upgraded(django_db_setup, django_db_blocker):
    """Fill the first release's tables with all that the tests below ask after, and bring them up to date,
    once, since that takes seconds; yield what was told of them before."""
    with django_db_blocker.unblock(), as_of("first") as apps:
        old = JudgingTables(apps)
        whole_panels(old)
        three_repeats(old)
        different_repeats(old)
        for repeats in (1, 3):
            judge_of_a_template(old, repeats)
        told = {
            "verdicts": kept(old.get("judging.Verdict"), *VERDICT),
            "attempts": kept(old.get("judging.Attempt"), *ATTEMPT),
            "judges": dict(old.get("judging.Verdict").objects.values_list("pk", "judge")),
        }
        upgrade()
        yield told


class JudgingTables:
    """A small world in the first release's models."""

    def __init__(self, apps):
        self.get = apps.get_model
        self.scheme = self.make(
            "annotation.LabelScheme", key="binary", version=1, title="B", content_hash="s"
        )
        self.label = self.make(
            "annotation.Label", scheme=self.scheme, key="yes", title="Y", role="target", position=1
        )
        suite = self.make("benchmark.Suite", slug="tiny", title="T")
        category = self.make("benchmark.Category", suite=suite, key="a", title="A", position=1)
        self.task = self.make("benchmark.Task", suite=suite, category=category, key="t", text="T")
        subject = self.make("benchmark.SubjectModel", name="m")
        condition = self.make("benchmark.Condition", name="c", content_hash="c")
        self.run = self.make("benchmark.Run", suite=suite, subject=subject, condition=condition)
        self.endpoint = self.make("benchmark.Endpoint", name="local", base_url="http://127.0.0.1:1/v1")

    def make(self, model, /, **fields):
        return self.get(model).objects.create(**fields)

    def study(self, slug, items=4):
        study = self.make("annotation.Study", slug=slug, title=slug, scheme=self.scheme)
        for epoch in range(1, items + 1):
            response, _ = self.get("benchmark.Response").objects.get_or_create(
                run=self.run,
                task=self.task,
                epoch=epoch,
                defaults={"text": f"R{epoch}", "content_hash": f"h{epoch}"},
            )
            self.make("annotation.Item", study=study, response=response, key=f"{slug}-{epoch}")
        return study

    def judge(self, name, definition=""):
        rater = self.make("annotation.Rater", name=name, kind="judge", definition=definition or digest(name))
        return self.make(
            "judging.Judge",
            rater=rater,
            endpoint=self.endpoint,
            model="m",
            template_name="own",
            template_text="x",
        )

    def asks(self, study, judge, repeats=1):
        return self.make("judging.StudyJudge", study=study, judge=judge, repeats=repeats)

    def verdict(self, study, judge, place, state, repeat=0, tokens=(), **fields):
        """Make a verdict with an attempt for each number of tokens."""
        item = list(self.get("annotation.Item").objects.filter(study=study).order_by("pk"))[place]
        if state == "done":
            fields["rating"] = self.make(
                "annotation.Rating", item=item, rater=judge.rater, label=self.label, ordinal=repeat
            )
        verdict = self.make("judging.Verdict", item=item, judge=judge, repeat=repeat, state=state, **fields)
        for count in tokens:
            self.make(
                "judging.Attempt",
                verdict=verdict,
                outcome="answer",
                request_hash="q",
                raw="{}",
                status=200,
                prompt_tokens=count,
                completion_tokens=1,
                started_at=THEN,
                latency=0.5,
            )
        return verdict


def kept(model, *names):
    return list(model.objects.order_by("pk").values_list(*names))


VERDICT = (
    "pk",
    "item",
    "repeat",
    "state",
    "reason",
    "lease",
    "leased_until",
    "rating",
    "cached",
    "finished_at",
)
ATTEMPT = (
    "pk",
    "verdict",
    "outcome",
    "request_hash",
    "raw",
    "error",
    "status",
    "prompt_tokens",
    "started_at",
    "latency",
)


def whole_panels(old):
    one, two = old.study("one"), old.study("two")
    careful, noisy = old.judge("careful"), old.judge("noisy")
    for study in (one, two):
        for judge in (careful, noisy):
            old.asks(study, judge)
    old.verdict(one, careful, 0, "done", tokens=[10, 20], finished_at=THEN)
    old.verdict(one, careful, 1, "refused", reason="No.", tokens=[5])
    old.verdict(one, careful, 2, "todo")
    old.verdict(one, noisy, 0, "failed", reason="timeout", tokens=[])
    old.verdict(two, careful, 0, "done", cached=True)
    old.verdict(two, noisy, 3, "leased", lease="gone", leased_until=THEN)


def test_every_verdict_and_attempt_comes_through_and_belongs_to_its_study(upgraded):
    assert kept(Verdict, *VERDICT) == upgraded["verdicts"]
    assert kept(Attempt, *ATTEMPT) == upgraded["attempts"]
    for verdict in Verdict.objects.select_related("item", "study_judge"):
        assert (verdict.study_judge.study_id, verdict.study_judge.judge_id) == (
            verdict.item.study_id,
            upgraded["judges"][verdict.pk],
        )
        assert verdict.reserved is None
    assert all(attempt.study_judge == attempt.verdict.study_judge for attempt in Attempt.objects.all())
    assert Attempt.objects.values("uid").distinct().count() == len(upgraded["attempts"]) == 3 + 2 + 2
    asked = StudyJudge.objects.filter(study__slug__in=["one", "two"])
    spent = asked.values_list(
        "study__slug", "judge__rater__name", "calls", "prompt_tokens", "completion_tokens"
    )
    assert sorted(spent) == [
        ("one", "careful", 3, 35, 3),
        ("one", "noisy", 0, 0, 0),
        ("two", "careful", 0, 0, 0),
        ("two", "noisy", 0, 0, 0),
    ]
    assert set(asked.values_list("status", "active", "cost", "output_price")) == {("running", True, 0, None)}


def three_repeats(old):
    study, judge = old.study("thrice"), old.judge("patient")
    old.asks(study, judge, repeats=3)
    for repeat in range(2):
        old.verdict(study, judge, 0, "done", repeat=repeat, tokens=[1])


def test_repeats_are_kept_and_what_is_missing_can_be_asked_for(upgraded):
    assert Judge.objects.get(rater__name="patient").repeats == 3
    asked = StudyJudge.objects.get(study__slug="thrice")
    assert want_verdicts(asked.study) == 4 * 3 - 2
    assert asked.verdicts.values("item", "study_judge", "repeat").distinct().count() == 12


def different_repeats(old):
    judge = old.judge("shared")
    for slug, repeats in [("more", 3), ("less", 1)]:
        study = old.study(slug)
        old.asks(study, judge, repeats)
        old.verdict(study, judge, 0, "done", repeat=repeats - 1, tokens=[1])


def test_of_two_studies_that_want_different_repeats_of_a_judge_one_has_to_apply_its_file_again(upgraded):
    assert Judge.objects.get(rater__name="shared").repeats == 1
    asked = StudyJudge.objects.filter(study__slug__in=["more", "less"]).values_list(
        "study__slug", "active", "verdicts__repeat", "calls"
    )
    assert sorted(asked) == [("less", True, 0, 1), ("more", False, 2, 1)]


OWN_TEMPLATE = "{{ task }} {{ response }} {{ label_keys }}"


def judge_of_a_template(old, repeats):
    name = f"asks-{repeats}"
    parts = ["local", True, "m", "", OWN_TEMPLATE, {}, False]
    judge = old.judge(name, digest(name, json.dumps(parts, sort_keys=True)))
    judge.template_text, judge.template_name = OWN_TEMPLATE, "own.txt"
    judge.save()
    old.asks(old.study(name), judge, repeats)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_judge_of_the_first_release_keeps_its_version_when_its_file_is_applied_again(
    upgraded, tmp_path, repeats
):
    name = f"asks-{repeats}"
    (tmp_path / "own.txt").write_text(OWN_TEMPLATE)
    judge, count = Judge.objects.get(rater__name=name), Judge.objects.count()
    spec = JudgeSpec(name=name, endpoint="local", model="m", template="own.txt", repeats=repeats)
    again = save_judge(spec, judge.endpoint, tmp_path)
    assert (again.pk, again.repeats, Judge.objects.count()) == (judge.pk, repeats, count)


def test_an_empty_database_comes_through():
    """Every database of the tests was brought from the first release's tables, without a row, to today's."""
    applied = list(MigrationRecorder.Migration.objects.order_by("pk").values_list("app", "name"))
    ours = [one for one in applied if one[0] in ("annotation", "benchmark", "judging")]
    assert sorted(ours[:3]) == EARLIER["first"]
    assert set(MigrationLoader(connection).graph.leaf_nodes()) <= set(applied)


@pytest.mark.django_db(transaction=True)
def test_endpoints_and_judges_that_took_chat_completions_go_on_taking_them():
    renamed = {"anthropic": "anthropic-compatible", "gemini": "gemini-compatible", "vllm": "vllm"}
    with as_of("before-native-dialects") as apps:
        for name in renamed:
            make = lambda of, **fields: apps.get_model(of).objects.create(**fields)  # noqa: E731
            at = make("benchmark.Endpoint", name=name, base_url="http://127.0.0.1:1/v1", dialect=name)
            rater = make("annotation.Rater", name=name, kind="judge", version=1)
            make("judging.Judge", rater=rater, endpoint=at, model="m", template_text="t", dialect=name)
        upgrade()
        assert dict(Endpoint.objects.values_list("name", "dialect")) == renamed
        assert dict(Judge.objects.values_list("rater__name", "dialect")) == renamed
