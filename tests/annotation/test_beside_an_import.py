"""What is made of a whole study beside an import: refused while it is under way, and what began before it
reads nothing of it."""

import pytest

from annotation import goldlabels
from annotation.goldlabels import promote
from annotation.models import Gold
from arbiter.analysis.report import studyreport
from arbiter.analysis.report.sections import Section, section_or_why
from arbiter.analysis.report.studyreport import report_html
from arbiter.core.models import Job
from arbiter.releases import exporting
from arbiter.releases.exporting import export_study
from benchmark.importunderway import KIND, ImportUnderWay, refuse_while_importing, without_later_imports
from judging.models import GoldSplit, Settlement, SettlementVersion, Verdict
from judging.settlement import settling
from judging.settlement.settling import settle
from tests import builders
from tests.commands import as_json, refusal
from tests.judging.calibrated import golden, judged
from tests.judging.helpers import endpoint, judge

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


@pytest.fixture
def study(db):
    return builders.study(tasks=4)


def begun(study):
    arguments = {"folder": "1", "suite": "tiny", "study": study.slug}
    return Job.objects.create(kind=KIND, study=study.pk, arguments=arguments)


class Arriving:
    """An import that begins when it is first called, and brings an item, with two votes, each time."""

    def __init__(self, study):
        self.study, self.brought = study, []

    def __call__(self, *_):
        if not self.brought:
            begun(self.study)
        run, task = self.study.items.first().response.run, self.study.items.first().response.task
        response = builders.response(run, task, epoch=100 + len(self.brought))
        item = self.study.items.create(response=response, key=f"later-{len(self.brought)}")
        for name in ("ann", "ben"):
            builders.rate(item, builders.rater(name, "human"))
        self.brought.append(item.pk)


def voted(study):
    for item in study.items.all():
        for name in ("ann", "ben"):
            builders.rate(item, builders.rater(name, "human"))
    return study.items.count()


def test_an_export_that_began_before_reads_nothing_of_it(study, monkeypatch, tmp_path):
    monkeypatch.setattr(exporting, "BATCH", 2)
    there, arriving = study.items.count(), Arriving(study)
    assert export_study(study, tmp_path / "out.jsonl", progress=arriving)["rows"] == there
    assert len(arriving.brought) == there / 2
    with pytest.raises(ImportUnderWay):
        exporting.rows(study)  # before a row of it is asked for


def test_a_settling_that_began_before_settles_nothing_of_it(study, monkeypatch):
    monkeypatch.setattr(settling, "BATCH", 2)
    there, arriving = voted(study), Arriving(study)

    def at_each_page(done, *_):
        if done:
            arriving()

    assert settle(study, progress=at_each_page)["settled"] == there
    assert arriving.brought and not Settlement.objects.filter(item__in=arriving.brought).exists()


def test_a_settling_that_an_import_overtakes_while_it_reads_writes_nothing(study):
    voted(study)
    with pytest.raises(ImportUnderWay):
        settle(study, progress=Arriving(study))  # it begins as the rule is fitted
    assert not SettlementVersion.objects.exists()


def test_a_promotion_that_began_before_promotes_nothing_of_it(study, monkeypatch):
    there, arriving, write = voted(study), Arriving(study), goldlabels.write

    def written(*given):
        arriving()
        return write(*given)

    monkeypatch.setattr(goldlabels, "AT_ONCE", 2)
    monkeypatch.setattr(goldlabels, "write", written)
    assert promote(study, "consensus")["written"] == there
    assert arriving.brought and not Gold.objects.filter(item__in=arriving.brought).exists()


def test_without_items_there_is_nothing_to_leave_out(study):
    assert not without_later_imports(study.items.none(), study.pk).exists()


def test_the_commands_wait(study):
    golden(study)
    judged(study)
    judged(study, "judge-b", 3)
    judge(study, endpoint())
    job = begun(study)
    for command in (
        ("agreement",),
        ("bias",),
        ("calibrate",),
        ("calibrate", "--split"),
        ("calibrate", "--compare", "judge-a", "judge-b"),
        ("plan",),
        ("plan", "--before"),
        ("judge", "--tuning"),
    ):
        name, *options = command
        assert "An import is under way (0 %) into study 'tiny'" in refusal(name, "tiny", *options), command
    assert not GoldSplit.objects.exists() and not Verdict.objects.exists()
    as_json("plan", "tiny", "--before", "--tasks", "9", "--epochs", "2")  # of no study's items
    Job.objects.filter(pk=job.pk).update(state="done")
    for name in ("agreement", "bias", "calibrate"):
        as_json(name, "tiny")


def test_a_report_that_an_import_overtakes_is_refused(study, monkeypatch):
    monkeypatch.setattr(studyreport, "PARTS", (("a", "A", lambda study, section: Arriving(study)()),))
    with pytest.raises(ImportUnderWay):
        report_html(study)


def test_a_section_gives_no_import_as_its_reason(study):
    begun(study)
    with pytest.raises(ImportUnderWay):
        section_or_why("a", "A", lambda section: refuse_while_importing(study.pk))
    with pytest.raises(ImportUnderWay):
        Section("a", "A").add(study, "rates")
