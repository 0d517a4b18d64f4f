"""What an import's rows refer to, made where it is missing: suite, models, conditions, runs and tasks."""

from typing import Any

from annotation.importing.staging import StagedTask, task_of
from annotation.importing.steps import Checkpoint, Phase, Steps
from arbiter.core.bulkinsert import insert, unsaved
from arbiter.core.naming import ByName, same_name
from arbiter.core.text import digest
from benchmark.formats.names import slug
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError
from benchmark.models import Category, Condition, Response, Run, SubjectModel, Suite, Task
from benchmark.suites import get_suite, newest_suite
from benchmark.taskfinder import UNCATEGORISED, TaskFinder

ABOUT = ("family", "training", "size")
RUNS_AT_ONCE = 20
IMPORT = "the import"  # stands for a file's path, where no row is at hand


def make_names(steps: Steps) -> None:
    """Make the suite, and then what is missing of the rest, some runs at a time."""
    names = steps.staging.names

    def make_suite(state: Checkpoint) -> None:
        name = names.suite.partition("@")[0]
        if names.makes_suite:
            suite, made = Suite.objects.get_or_create(slug=name, version=1, defaults={"title": name})
            state.made.suite = suite.pk if made else None
        else:
            suite = get_suite(names.suite)
        state.suite = suite.pk
        state.last_response, state.last_task = _last(Response), _last(Task)
        for category, title in names.categories:
            _make_category(suite, category, title, state)

    if steps.state.suite is None:
        _agree_with_later_tasks(steps)
        steps.take_again(make_suite)
    while steps.state.offset < len(names.runs):
        steps.take_again(lambda state: _make_runs(steps, state))
    steps.begin(Phase.TASKS)


def _last(model: Any) -> int:
    return model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _make_category(suite: Suite, key: str, title: str, state: Checkpoint) -> None:
    if not suite.categories.filter(key=key).exists():
        position = suite.categories.count() + 1
        category = Category.objects.create(suite=suite, key=key, title=title, position=position)
        state.made.categories.append(category.pk)


def _make_runs(steps: Steps, state: Checkpoint) -> None:
    """Make the next of the runs; `offset` is how many are there."""
    names = steps.staging.names
    runs = names.runs[state.offset : state.offset + RUNS_AT_ONCE]
    state.offset += len(runs)
    for subject, condition, name, config in runs:
        model = _subject(names.subjects[subject], state)
        how = _condition(names.conditions[condition], state)
        if run_named(steps.suite, model, how, name) is None:
            run = Run.objects.create(
                suite=steps.suite, subject=model, condition=how, name=name, config=config
            )
            state.made.runs.append(run.pk)
            state.count.runs += 1


def run_named(suite: Suite, subject: SubjectModel, condition: Condition, name: str) -> Run | None:
    runs = Run.objects.filter(suite=suite, subject=subject, condition=condition)
    return ByName((run.name, run) for run in runs).one(name)


def _subject(said: dict[str, str], state: Checkpoint) -> SubjectModel:
    subject = SubjectModel.objects.called(said["name"])
    if subject is None:
        subject = SubjectModel.objects.create(**said)
        state.made.subjects.append(subject.pk)
    for what in ABOUT:
        if said[what]:
            _say_of(subject, what, said[what], state)
    return subject


def _say_of(subject: SubjectModel, what: str, said: str, state: Checkpoint) -> None:
    """Fill in what nobody has said of the model yet; what stands must agree."""
    if not getattr(subject, what):
        if SubjectModel.objects.filter(pk=subject.pk, **{what: ""}).update(**{what: said}):
            state.made.filled.append((subject.pk, what, said))
        subject.refresh_from_db(fields=[what])
    known = getattr(subject, what)
    if not same_name(known, said):
        expected = f"one {what} for subject {excerpt(subject.name)}: {excerpt(known)}, as it stands"
        raise FormatError(IMPORT, None, expected, excerpt(said))


def _condition(said: dict[str, Any], state: Checkpoint) -> Condition:
    content = {name: value for name, value in said.items() if name != "name"}
    condition = Condition.objects.of_content(**content)
    if condition is None:
        condition = Condition.objects.create(**said)
        state.made.conditions.append(condition.pk)
    return condition


def runs_of(steps: Steps) -> list[Run]:
    """Return the runs that rows name by number."""
    names, runs = steps.staging.names, []
    subjects = [SubjectModel.objects.called(one["name"]) for one in names.subjects]
    conditions = [
        Condition.objects.of_content(**{key: value for key, value in one.items() if key != "name"})
        for one in names.conditions
    ]
    for subject, condition, name, _ in names.runs:
        model, how = subjects[subject], conditions[condition]
        run = run_named(steps.suite, model, how, name) if model and how else None
        if run is None:
            raise FormatError(IMPORT, None, f"the run {name!r} that it made", "none")
        run.subject, run.condition = model, how  # type: ignore[assignment]
        runs.append(run)
    return runs


# Tasks


def make_tasks(steps: Steps) -> None:
    """Make the tasks that are to be made; one of that very key and text may have come meanwhile."""
    categories = dict(steps.suite.categories.values_list("key", "pk"))
    for behind, units, lines in steps.portions(steps.staging.tasks(steps.state.offset)):
        tasks = [task_of(line) for line in lines]

        def write(state: Checkpoint, tasks: list[StagedTask] = tasks, behind: int = behind) -> None:
            there = dict(
                steps.suite.tasks.filter(key__in=[task.key for task in tasks]).values_list("key", "text_hash")
            )
            for task in tasks:
                if there.get(task.key, digest(task.text)) != digest(task.text):
                    expected = f"one prompt for task {excerpt(task.key)}, which has another since"
                    raise FormatError(IMPORT, None, expected, excerpt(task.text))
            new = [task for task in tasks if task.key not in there]
            insert([_task(steps.suite, task, categories[task.category]) for task in new])
            state.offset = behind

        steps.take_again(write, units)
    steps.begin(Phase.RESPONSES)


def _agree_with_later_tasks(steps: Steps) -> None:
    """Refuse what contradicts tasks that came to the suite since the files were checked, as the check would
    have."""
    names = steps.staging.names
    suite = newest_suite(names.suite.partition("@")[0]) if names.makes_suite else get_suite(names.suite)
    if suite is None or not suite.tasks.filter(pk__gt=names.last_task).exists():
        return
    finder, titles = TaskFinder(suite, create=True), dict(names.categories)
    for _, line in steps.staging.tasks(0):
        task = task_of(line)
        title = titles.get(task.category, task.category)
        try:
            _agree_with(finder, task, "" if task.category == slug(UNCATEGORISED) else title)
        except FormatError as error:
            actual = f"{error.actual}; the other came since the files were checked, so import them again"
            raise FormatError(IMPORT, None, error.expected, actual) from error


def _agree_with(finder: TaskFinder, task: StagedTask, category: str) -> None:
    found = finder.find(IMPORT, 0, task.key, task.text, category, task.language)
    if found.key != task.key or found.training:
        expected = f"no task {excerpt(found.key)} in suite {finder.suite}, or one reserved for training"
        raise FormatError(IMPORT, None, expected, excerpt(task.key))


def _task(suite: Suite, staged: StagedTask, category: int) -> Task:
    return unsaved(
        Task,
        suite_id=suite.pk,
        category_id=category,
        key=staged.key,
        language=staged.language,
        text=staged.text,
        text_hash=digest(staged.text),
    )
