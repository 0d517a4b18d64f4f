"""An import that was cut off: what others are told meanwhile, how it ends, and how it is taken back."""

import errno
import os
import re
import shutil
import signal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError

from annotation.importing import checking, importjob, pace, staging
from annotation.importing.checking import ImportOptions, stage
from annotation.importing.importjob import ask_for_import, may_begin, see_through, take_back
from annotation.importing.staging import StagingWriter
from annotation.importing.steps import Phase, Steps
from annotation.models import Assignment, Item, Rating, Study
from arbiter.core.errors import UserError
from arbiter.core.jobworkers import JobWorker, claim_next_job, run_job
from arbiter.core.models import Job
from benchmark.formats import read_responses
from benchmark.importunderway import ImportUnderWay
from benchmark.models import Condition, Response, SubjectModel, Suite, Task
from benchmark.suites import newest_suite
from judging.panel.scoring import score
from judging.panel.wanted_verdicts import want_verdicts
from tests import builders, struck
from tests.annotation.tables import IMPORT, everything, jsonl, row
from tests.commands import as_json, refusal
from tests.ledgers import assert_sound
from tests.processes import running
from tests.sizes import size

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
CREATE = ["--create-tasks"]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(checking, "BATCH", 2)
    monkeypatch.setattr(pace, "MOST", 2)
    monkeypatch.setattr(pace, "FIRST", 2)


def rows():
    """Twelve rows of two models, six tasks and two raters; the file brings gold too."""
    return [
        row(
            task=f"t-{task}",
            prompt=f"Do {task}.",
            category="New",
            subject=subject,
            label_ann="convergence",
            **{"label:judge:J": "no_convergence"},
            gold="convergence",
        )
        for subject in ("new-a", "new-b")
        for task in range(6)
    ]


def staged(path, study="tiny", **options):
    suite = newest_suite("tiny") or Suite(slug="tiny", version=1, title="tiny")
    asked = ImportOptions(create_tasks=True, **options)
    return stage(suite, study, lambda on_error: read_responses("jsonl", [path], None, on_error), asked)


def begun(path, steps, study="tiny"):
    """Return an import of which so many steps were taken when its worker was told to stop."""
    job = ask_for_import(staged(path, study))
    return gone_on(job, steps)


def gone_on(job, steps):
    taken = iter(range(steps))
    run_job(claim_next_job(Job.objects.filter(pk=job.pk)), lambda: next(taken, None) is None)
    job.refresh_from_db()
    return job


def begun_until(path, phase, rows=2):
    """Return an import that is in this phase, with so many rows behind it."""
    job = ask_for_import(staged(path))
    for _ in range(60):
        gone_on(job, 1)
        if job.checkpoint["phase"] == phase and job.checkpoint["rows"] >= rows:
            return job
    raise AssertionError(job.checkpoint)


def finished(job):
    return see_through(job)


COUNTS = {"runs": 2, "responses": 12, "ratings": 24, "gold": 12, "unchanged": 0, "kept": 0}


def assert_whole(study="tiny"):
    items = Item.objects.filter(study__slug=study)
    assert items.count() == 12 and Response.objects.filter(items__study__slug=study).count() == 12
    assert Rating.objects.filter(item__in=items).count() == 24
    assert {(item.human_votes, item.judge_votes) for item in items} == {(1, 1)}
    assert_sound()


@pytest.mark.parametrize("steps", range(1, 30, 4))
def test_wherever_it_was_cut_off_it_is_gone_on_with(tmp_path, steps):
    job = begun(jsonl(tmp_path, *rows()), steps)
    counts = finished(job)
    assert {key: counts[key] for key in COUNTS} == COUNTS
    assert_whole()
    assert as_json("importresponses", jsonl(tmp_path, *rows()), "--format", "jsonl", *IMPORT)[
        "unchanged"
    ] == len(rows())


# What others are told meanwhile


@pytest.mark.parametrize("phase", [Phase.RESPONSES, Phase.ENTERING])
def test_what_is_made_of_a_whole_study_waits(tmp_path, phase):
    study = builders.study()
    builders.draw(study, per_item=1, seed=0)
    builders.rate(study.items.first(), builders.rater("judge-a"))
    job = begun_until(jsonl(tmp_path, *rows()), phase)
    said = f"An import is under way ({job.percent} %) into study 'tiny'"
    assert 0 < job.percent < 100
    gold = jsonl(tmp_path, {"item": study.items.first().key, "label": "convergence"}, name="gold.jsonl")
    file = tmp_path / "study.yaml"
    file.write_text("study: tiny\nsuite: tiny\nscheme: four-class\n")
    for command in (
        ("settle", "tiny"),
        ("rates", "tiny", "--source", "majority"),
        ("rates", "tiny", "--estimator", "raw", "--source", "judge-a"),
        ("exportstudy", "tiny", tmp_path / "out.jsonl"),
        ("report", "tiny", tmp_path / "out.html"),
        ("gold", "import", "tiny", gold),
        ("gold", "promote", "tiny", "--from", "consensus"),
        ("study", "draw", "tiny"),
        ("study", "apply", file),
    ):
        assert said in refusal(*command), command
    for ask in (want_verdicts, score):
        with pytest.raises(ImportUnderWay):
            ask(study)
    finished(job)
    as_json("settle", "tiny")


def test_a_study_that_is_being_made_is_told_of(tmp_path):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    assert not Study.objects.exists()
    assert f"An import is under way ({job.percent} %) into study 'tiny'" in refusal("settle", "tiny")


def test_other_studies_go_on(tmp_path):
    other = builders.study("other")
    builders.rate(other.items.first(), builders.rater("judge-a"))
    begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    as_json("settle", "other")


def test_people_are_given_the_new_items_when_all_have_entered(tmp_path):
    study = builders.study()
    builders.draw(study, per_item=1, seed=0)
    places = Assignment.objects.filter(study=study).count()
    job = begun_until(jsonl(tmp_path, *rows()), Phase.DRAWING, rows=0)
    assert study.items.count() == 6 + 12 and Assignment.objects.filter(study=study).count() == places
    finished(job)
    assert Assignment.objects.filter(study=study).count() == places + 12


# Draws


WITHOUT_THE_REST = [
    {"name": "split", "where": {"judges": "split"}, "probability": 1.0},
    {"name": "known", "where": {"judges": "unanimous", "subjects": ["model-a"]}, "probability": 0.5},
]


def judged_study():
    """Return a study of six items on which two judges agree."""
    study = builders.study()
    for item in study.items.all():
        for name in ("J1", "J2"):
            builders.rate(item, builders.rater(name))
    return study


def judged_rows(many, said="convergence", judges=("J1", "J2")):
    """Return rows of a model that is new; the last of the judges says this, the others `convergence`."""
    labels = {f"label:judge:{judge}": "convergence" for judge in judges} | {f"label:judge:{judges[-1]}": said}
    return [row(subject="new", epoch=epoch, **labels) for epoch in range(1, many + 1)]


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_budget_is_kept_wherever_drawing_was_cut_off(tmp_path, cut_off):
    study = judged_study()
    draw = builders.draw(study, plan="disagreement", budget=4, per_item=1)
    path = jsonl(tmp_path, *judged_rows(20, "no_convergence"))
    job = ask_for_import(staged(path))
    if cut_off:
        while draw.framed.filter(stratum="split").count() != 20:
            gone_on(job, 1)
    finished(job)
    assert draw.strata.get(name="split").probability == pytest.approx(0.08)


def test_a_second_judge_of_an_item_that_is_there_may_not_make_it_undrawable(tmp_path):
    builders.draw(judged_study(), strata=WITHOUT_THE_REST)
    first = jsonl(tmp_path, *judged_rows(1, judges=["J1"]))
    second = jsonl(tmp_path, *judged_rows(1, judges=["J2"]), name="second.jsonl")
    split = jsonl(tmp_path, *judged_rows(1, "no_convergence", judges=["J2"]), name="split.jsonl")
    as_json("importresponses", first, "--format", "jsonl", *IMPORT)
    said = refusal("importresponses", second, "--format", "jsonl", *IMPORT)
    assert f"{second}, line 1: humans.strata" in said and "falls in no stratum" in said
    assert as_json("importresponses", split, "--format", "jsonl", *IMPORT)["ratings"] == 1
    assert as_json("importresponses", second, "--format", "jsonl", *IMPORT)["ratings"] == 1  # it is drawn


def test_what_can_not_be_drawn_any_more_ends_an_import_with_the_reason(tmp_path):
    study = judged_study()
    builders.draw(study, strata=WITHOUT_THE_REST)
    job = ask_for_import(staged(jsonl(tmp_path, *judged_rows(1, judges=["J1"]))))
    while job.checkpoint["phase"] != Phase.DRAWING:
        gone_on(job, 1)
    builders.rate(study.items.get(response__run__subject__name="new"), builders.rater("J2"))
    with pytest.raises(UserError, match=r"Not all that entered study 'tiny' is drawn .* falls in no stratum"):
        finished(job)
    job.refresh_from_db()
    assert job.state == "failed"
    as_json("settle", "tiny")


def test_no_study_file_makes_a_study_that_an_import_is_about_to_make(tmp_path):
    builders.suite("elsewhere", tasks=1)
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    file = tmp_path / "study.yaml"
    file.write_text("study: tiny\nsuite: elsewhere\nscheme: four-class\n")
    assert f"An import is under way ({job.percent} %)" in refusal("study", "apply", file)
    finished(job)
    as_json("study", "apply", file)


# Taking it back


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("phase", [Phase.NAMES, Phase.TASKS, Phase.RESPONSES])
def test_until_items_enter_all_of_it_is_taken_back(tmp_path, phase, there):
    if there:
        builders.study()
    before = everything()
    job = begun_until(jsonl(tmp_path, *rows()), phase, rows=0)
    assert everything() != before
    assert as_json("import", "cancel", job.pk) == {"import": job.pk, "state": "cancelled"}
    assert everything() == before
    assert as_json("import", "list")["imports"][0]["state"] == "cancelled"
    assert "No import is open" in refusal("import", "resume")


def test_what_was_filled_in_of_a_model_is_taken_back(tmp_path):
    builders.suite(tasks=1)
    known = SubjectModel.objects.create(name="model-a", family="fam")
    before = everything()
    job = begun_until(jsonl(tmp_path, row(subject_family="Fam", subject_size="30B")), Phase.RESPONSES, rows=1)
    known.refresh_from_db()
    assert (known.family, known.size, known.training) == ("fam", "30B", "")
    as_json("import", "cancel", job.pk)
    assert everything() == before


def test_what_was_taken_back_half_is_taken_back_whole(tmp_path):
    before = everything()
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES, rows=8)
    assert take_back(job)
    gone_on(job, 2)
    assert 0 < Response.objects.count() < 8
    JobWorker().run()
    job.refresh_from_db()
    assert job.state == "cancelled" and everything() == before


def test_the_names_that_somebody_else_uses_by_now_stay(tmp_path):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    suite = newest_suite("tiny")
    other = builders.response(builders.run(suite, "new-a", "baseline", "another"), suite.tasks.first())
    as_json("import", "cancel", job.pk)
    assert list(Response.objects.all()) == [other]
    assert suite.tasks.count() == 1 and suite.runs.count() == 1


def test_what_has_begun_to_enter_only_goes_forward(tmp_path):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.ENTERING)
    assert f"import resume {job.pk}" in refusal("import", "cancel", job.pk)
    counts = as_json("import", "resume", job.pk)
    assert {key: counts[key] for key in COUNTS} == COUNTS
    assert_whole()


def test_one_that_nobody_can_go_on_with_ends_and_another_brings_the_rest(tmp_path, settings):
    """As in a database that was restored elsewhere."""
    path = jsonl(tmp_path, *rows())
    job = begun_until(path, Phase.ENTERING, rows=4)
    shutil.rmtree(settings.DATA / "imports" / job.arguments["folder"])
    assert f"{job.checkpoint['rows']} of its 12 rows entered" in refusal("import", "cancel", job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert as_json("importresponses", path, "--format", "jsonl", *IMPORT)["unchanged"] == 12
    assert_whole()


TASK = {"task": "k-1", "prompt": "Do it.", "category": "Alpha"}


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"category": "Beta"}, "expected one category for task 'k-1', which in suite tiny@1 is in 'Alpha'"),
        ({"category": "New"}, "found another: 'New'"),
        ({"task": "k-2", "prompt": "Do it. "}, "found the text of 'k-1' again"),
        ({"task": "K-1", "prompt": "Another."}, "expected one prompt for task 'k-1'"),
        ({"task": "K-1"}, "found 'K-1'"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_task_that_contradicts_one_that_came_since_the_check_takes_it_back(tmp_path, later, said, there):
    if there:
        builders.suite(tasks=2)
    first = ask_for_import(staged(jsonl(tmp_path, row(**TASK))))
    second = ask_for_import(staged(jsonl(tmp_path, row(**{**TASK, "subject": "b", **later}))))
    finished(first)
    before = everything()
    with pytest.raises(UserError, match=re.escape(said) + ".* import them again"):
        finished(second)
    assert everything() == before


@pytest.mark.parametrize("later", [{}, {"category": ""}, {"task": "k-2", "prompt": "Do another."}])
@pytest.mark.parametrize("there", [True, False])
def test_a_task_that_agrees_with_those_that_came_since_the_check_is_taken(tmp_path, later, there):
    if there:
        path = jsonl(tmp_path, row(prompt="Alone.", category=""))
        as_json("importresponses", path, "--format", "jsonl", *IMPORT, *CREATE)
    tasks = Task.objects.count()
    first = ask_for_import(staged(jsonl(tmp_path, row(**TASK))))
    second = ask_for_import(staged(jsonl(tmp_path, row(**{**TASK, "subject": "b", **later}))))
    assert finished(second)["responses"] == 1
    assert finished(first)["responses"] == 1
    assert Task.objects.count() - tasks == (2 if "task" in later else 1)


def test_what_has_come_since_the_check_takes_it_back(tmp_path):
    suite = builders.suite(tasks=2)
    path = jsonl(tmp_path, *(row(task=f"task-{n}") for n in (1, 2)))
    job = ask_for_import(staged(path))
    builders.response(builders.run(suite), suite.tasks.last(), text="Another.")
    before = everything()
    with pytest.raises(UserError, match="line 2: expected the response that is stored for 'task-2'"):
        finished(job)
    assert everything() == before


@pytest.mark.parametrize("model", [SubjectModel, Condition])
def test_a_name_that_somebody_made_at_that_moment_is_taken(tmp_path, monkeypatch, model):
    builders.suite(tasks=1)
    job = ask_for_import(staged(jsonl(tmp_path, row(system_prompt="Be brief."))))
    create, refused = model.objects.create, []

    def created(**fields):
        if not refused:
            refused.append(model)
            raise IntegrityError
        return create(**fields)

    monkeypatch.setattr(model.objects, "create", created)
    assert finished(job)["responses"] == 1 and refused


def test_a_staging_file_that_was_damaged_takes_it_back(tmp_path, settings):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    [path] = settings.DATA.glob(f"imports/{job.arguments['folder']}/rows.jsonl")
    path.write_bytes(path.read_bytes().replace(b"I stop at four.", b"I stop at five."))
    with pytest.raises(UserError, match=r"rows.jsonl: the staging file of this import is damaged"):
        finished(job)
    assert not any(everything().values())


def staging_file(job, settings):
    return settings.DATA / "imports" / job.arguments["folder"] / "rows.jsonl"


def cut(path):
    """Take the last line off, as a power cut may."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def corrupt(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b"I stop", b"I stay")]))


def test_a_staging_file_that_ends_too_soon_takes_it_back(tmp_path, settings):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    cut(staging_file(job, settings))
    with pytest.raises(UserError, match="ends too soon"):
        finished(job)
    assert not any(everything().values())


@pytest.mark.parametrize("harm", [cut, corrupt, lambda path: shutil.rmtree(path.parent)])
def test_once_rows_enter_a_damaged_staging_file_ends_it_and_another_import_brings_the_rest(
    tmp_path, settings, harm
):
    path = jsonl(tmp_path, *rows())
    job = begun_until(path, Phase.ENTERING, rows=4)
    harm(staging_file(job, settings))
    with pytest.raises(UserError, match=r"\d+ of its 12 rows entered the study, and they stay"):
        finished(job)
    job.refresh_from_db()
    assert job.state == "failed" and 4 <= Item.objects.count() < 12
    assert as_json("importresponses", path, "--format", "jsonl", *IMPORT)["unchanged"] == 12
    assert_whole()


@pytest.mark.parametrize("phase", [Phase.RESPONSES, Phase.ENTERING])
def test_a_disk_that_is_full_for_a_while_ends_nothing(tmp_path, monkeypatch, phase):
    job = begun_until(jsonl(tmp_path, *rows()), phase)
    with monkeypatch.context() as full:
        full.setattr(Steps, "portions", raising(OSError(errno.ENOSPC, "No space left on device")))
        gone_on(job, 100)
    assert job.unfinished and "No space left on device. It is tried again." in job.message
    release(job)
    counts = finished(job)
    assert {key: counts[key] for key in COUNTS} == COUNTS
    assert_whole()


def raising(error):
    def fails(*_):
        raise error

    return fails


def release(job):
    """Let its lease be over."""
    Job.objects.filter(pk=job.pk).update(state="open", lease="", leased_until=None)


def test_one_that_was_asked_for_in_another_version_waits_for_it(tmp_path):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.ENTERING)
    arguments = job.arguments
    Job.objects.filter(pk=job.pk).update(arguments={**arguments, "later": 1})
    gone_on(job, 100)
    assert job.unfinished and "another version" in job.message
    release(job)
    Job.objects.filter(pk=job.pk).update(arguments=arguments)
    finished(job)
    assert_whole()


def test_numbers_of_imports_may_come_again(tmp_path):
    """As after a restore: jobs that were over are in no backup, and responses name theirs."""
    path = jsonl(tmp_path, *rows())
    finished(ask_for_import(staged(path)))
    again = ask_for_import(staged(path))
    Response.objects.update(imported_in=again.pk)
    assert finished(again)["unchanged"] == 12
    assert_whole()


def test_it_is_tried_as_often_as_it_takes(tmp_path):
    job = begun_until(jsonl(tmp_path, *rows()), Phase.ENTERING)
    Job.objects.filter(pk=job.pk).update(attempts=32767)  # the most that its column holds
    finished(job)
    assert_whole()


def test_one_that_is_stuck_is_no_matter_to_another_study_and_suite(tmp_path):
    stuck = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    Job.objects.filter(pk=stuck.pk).update(arguments={**stuck.arguments, "later": 1}, attempts=0)
    other = Suite(slug="other", version=1, title="other")
    path = jsonl(tmp_path, row(prompt="Do it.", category="New"))
    read = lambda on_error: read_responses("jsonl", [path], None, on_error)  # noqa: E731
    mine = ask_for_import(stage(other, "other", read, ImportOptions(create_tasks=True)))
    assert finished(mine)["responses"] == 1
    stuck.refresh_from_db()
    assert stuck.attempts == 0


def test_one_that_is_staged_elsewhere_is_told_of_instead_of_waited_for(tmp_path):
    first = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    second = ask_for_import(staged(jsonl(tmp_path, row(task="t-1", epoch=9)), study="other"))
    Job.objects.filter(pk=first.pk).update(place="elsewhere")
    for job in (first, second):
        said = refusal("import", "resume", job.pk)
        assert f"Import {first.pk} is staged in another data folder" in said
    as_json("import", "cancel", first.pk)


def test_imports_into_one_study_or_suite_take_turns(tmp_path):
    first = begun_until(jsonl(tmp_path, *rows()), Phase.RESPONSES)
    second = ask_for_import(staged(jsonl(tmp_path, row(task="t-1", epoch=9)), study="other"))
    assert may_begin(first) and not may_begin(second)
    assert see_through(second)["responses"] == 1
    first.refresh_from_db()
    assert first.state == "done"
    assert_whole()


# Bad rows


def test_all_bad_rows_are_counted_and_the_first_are_told(tmp_path, settings):
    builders.suite(tasks=1)
    bad = [row(epoch=n, label_ann="perhaps") for n in range(2, 27)]
    settings.DATA = tmp_path / "data"
    settings.DATA.mkdir()
    before = everything()
    path = jsonl(tmp_path, row(), *bad, "{", row(epoch=99), row(task="none"))
    with pytest.raises(CommandError) as caught:
        call_command("importresponses", str(path), "--format", "jsonl", *IMPORT)
    first, *told, last = str(caught.value).split("\n")
    assert first == "27 rows can't be imported, and nothing was." and last == "… and 7 more."
    assert [line.partition(":")[0] for line in told] == [f"{path}, line {n}" for n in range(2, 22)]
    assert everything() == before and not list(settings.DATA.glob("imports/*"))


@pytest.mark.parametrize("full", [True, False])
def test_where_nothing_can_be_kept_it_is_said_in_a_sentence(tmp_path, settings, monkeypatch, full):
    builders.suite(tasks=1)
    settings.DATA = tmp_path / "data"
    settings.DATA.mkdir()
    if full:

        def write(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(staging, "_write_line", write)
    else:
        (settings.DATA / "imports").write_text("A file where a folder should be.")
    said = refusal("importresponses", jsonl(tmp_path, row()), "--format", "jsonl", *IMPORT)
    why = "No space left on device" if full else "File exists"
    assert said.startswith(f"{settings.DATA / 'imports'}: ") and f"can't be written ({why})" in said
    assert not list(settings.DATA.glob("imports/*"))


def test_the_first_place_is_looked_up_only_for_rows_that_are_told_of(tmp_path, monkeypatch):
    builders.suite(tasks=1)
    looked, look_up = [], StagingWriter.first_place

    def first_place(*place):
        looked.append(place)
        return look_up(*place)

    monkeypatch.setattr(StagingWriter, "first_place", first_place)
    path = jsonl(tmp_path, *[row() for _ in range(31)])
    with pytest.raises(CommandError) as caught:
        call_command("importresponses", str(path), "--format", "jsonl", *IMPORT)
    message = str(caught.value)
    assert message.startswith("30 rows can't be imported") and message.endswith("… and 10 more.")
    assert message.count("again, after line 1") == len(looked) == 20


# Killed


def killed_at(number):
    """Have a process kill itself in the transaction of its step of this number."""
    small = {"annotation__importing__pace__MOST": 2, "annotation__importing__pace__FIRST": 2}
    note = "arbiter.core.jobworkers:RunningJob.note"
    return struck.at_call(note, number, signal.SIGKILL, **small)


@pytest.mark.sized
@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_nothing_is_lost_and_nothing_doubled(tmp_path, settings):
    settings.LEASE_SECONDS = 1
    path, lease = jsonl(tmp_path, *rows()), {"ARBITER_LEASE_SECONDS": "1", "ARBITER_DATA": str(settings.DATA)}
    command = ("importresponses", str(path), "--format", "jsonl", *IMPORT, *CREATE, "--json")
    for _ in range(size(2, 20)):
        with running("manage.py", *command, first=killed_at(2), **lease) as process:
            assert process.wait(60) == -signal.SIGKILL
        assert "An import is under way" in refusal("settle", "tiny")
        command = ("import", "resume", "--json")
    with running("manage.py", "runworker", "--until-idle", **lease) as process:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    job = Job.objects.get(kind=importjob.KIND)
    assert job.state == "done" and {key: job.result[key] for key in COUNTS} == COUNTS
    assert_whole()
