"""Bringing a parsed suite into the database, and finding tasks in it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.utils.text import slugify

from benchmark.commandline import UserError
from benchmark.formats.join import task_text_key
from benchmark.formats.records import FormatError, ParsedSuite, ParsedTask
from benchmark.models import Category, Suite, Task
from benchmark.text import digest, storable

BUILTIN = Path(__file__).parent / "builtin" / "suite"


@dataclass(frozen=True)
class LoadedSuite:
    suite: Suite
    created: int
    unchanged: int

    def summary(self) -> dict[str, object]:
        """Categories count the tasks that enter the rates; controls are told apart."""
        tasks = list(self.suite.tasks.values_list("category__title", "control"))
        titles = self.suite.categories.values_list("title", flat=True)
        counts = Counter(title for title, control in tasks if not control)
        return {
            "suite": str(self.suite),
            "tasks": len(tasks),
            "controls": sum(control for _, control in tasks),
            "categories": {title: counts[title] for title in titles},
            "created": self.created,
            "unchanged": self.unchanged,
        }


@transaction.atomic
def load_suite(slug: str, parsed: ParsedSuite) -> LoadedSuite:
    """Make the suite, or its next version where the file differs from the newest; an equal one changes nothing."""
    before = newest_suite(slug)
    old = _contents(before) if before else {}
    new = {task.key: _content(parsed, task) for task in parsed.tasks}
    same = sum(old.get(key) == content for key, content in new.items())
    if before and old == new:
        return LoadedSuite(before, created=0, unchanged=same)
    suite = Suite.objects.create(
        slug=slug,
        version=before.version + 1 if before else 1,
        title=parsed.title or slug,
        description=parsed.description,
    )
    _add(suite, parsed)
    return LoadedSuite(suite, created=len(new) - same, unchanged=same)


def newest_suite(slug: str) -> Suite | None:
    return Suite.objects.filter(slug=slug).order_by("-version").first()


def get_suite(name: str) -> Suite:
    """SLUG is its newest version, SLUG@VERSION that one."""
    slug, _, version = name.partition("@")
    found = (
        Suite.objects.filter(slug=slug, version=int(version)).first()
        if version.isdigit()
        else newest_suite(slug)
    )
    if found is None:
        known = ", ".join(sorted({suite.slug for suite in Suite.objects.all()})) or "none yet"
        raise UserError(
            f"There is no suite {name!r} (known: {known}); load it with `manage.py loadsuite --slug {slug}`."
        )
    return found


def _content(parsed: ParsedSuite, task: ParsedTask) -> str:
    category = next(c for c in parsed.categories if c.key == task.category)
    return digest(
        task.text, task.language, str(task.control), str(task.training),
        category.key, category.title, category.context, category.question,
    )  # fmt: skip


def _contents(suite: Suite) -> dict[str, str]:
    return {
        task.key: digest(
            task.text, task.language, str(task.control), str(task.training),
            task.category.key, task.category.title, task.category.context, task.category.question,
        )
        for task in suite.tasks.select_related("category")
    }  # fmt: skip


def _add(suite: Suite, parsed: ParsedSuite) -> None:
    categories = {
        category.key: Category.objects.create(
            suite=suite, key=category.key, title=category.title, context=category.context,
            question=category.question, position=position,
        )
        for position, category in enumerate(parsed.categories, start=1)
    }  # fmt: skip
    Task.objects.bulk_create(
        [
            Task(
                suite=suite, category=categories[task.category], key=task.key, language=task.language, text=task.text,
                text_hash=digest(task.text), control=task.control, training=task.training, meta=dict(task.meta),
            )
            for task in parsed.tasks
        ],
        batch_size=1000,
    )  # fmt: skip


class TaskFinder:
    """Finds a response's task by key or by its text, and makes it where that was asked for."""

    def __init__(self, suite: Suite, create: bool = False) -> None:
        self.suite, self.create = suite, create
        self.by_key: dict[str, Task] = {}
        self.by_text: dict[tuple[str, str], Task] = {}
        self.categories = {category.title.lower(): category for category in suite.categories.all()}
        self.categories |= {category.key: category for category in self.categories.values()}
        for task in suite.tasks.select_related("category").iterator():
            self._remember(task)

    def _remember(self, task: Task) -> None:
        self.by_key[task.key] = task
        # The first of two texts that differ in white space alone is the one a text finds.
        self.by_text.setdefault((digest(task_text_key(task.text)), task.language), task)
        task.text = ""  # a suite may hold 100,000 of them

    def find(self, path: str, line: int, key: str, prompt: str, category: str, language: str) -> Task:
        task = self.by_key.get(key) if key else None
        if not key:
            text = digest(task_text_key(prompt))
            task = self.by_text.get((text, language)) or self.by_text.get((text, "en"))
        if task is None and self.create and prompt:
            task = self._make(key, prompt, category, language)
        if task is None:
            found = f"key {key!r}" if key else f"a prompt that starts {' '.join(prompt.split())[:50]!r}"
            hint = " (a task made with --create-tasks needs a prompt)" if self.create else ""
            raise FormatError(path, line, f"a task of suite {self.suite}{hint}", found)
        return task

    def _make(self, key: str, prompt: str, category: str, language: str) -> Task:
        key = key or f"task-{digest(prompt)[:16]}"
        text, _ = storable(prompt)
        task = Task(
            suite=self.suite,
            category=self._category(category or "Uncategorised"),
            key=slugify(key),
            language=language,
            text=text,
        )
        task.save()
        self._remember(task)
        return task

    def _category(self, title: str) -> Category:
        if title.lower() not in self.categories:
            self.categories[title.lower()] = Category.objects.create(
                suite=self.suite, key=slugify(title)[:80] or "category", title=title,
                position=self.suite.categories.count() + 1,
            )  # fmt: skip
        return self.categories[title.lower()]
