"""Bringing a parsed suite into the database, and finding tasks in it."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.db import IntegrityError, transaction

from benchmark.errors import UserError
from benchmark.fitting import require_fit
from benchmark.formats.join import task_text_key
from benchmark.formats.names import SLUG, slug, task_key
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError, ParsedCategory, ParsedSuite, ParsedTask
from benchmark.models import Category, Suite, Task
from benchmark.text import digest, storable

BUILTIN = Path(__file__).parent / "builtin" / "suite"
LONGEST_SLUG = 80


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


def load_suite(slug: str, parsed: ParsedSuite) -> LoadedSuite:
    """Make the suite, or its next version where the file differs from the newest; an equal one changes nothing."""
    refuse_bad_slug(slug, "suite")
    try:
        with transaction.atomic():
            return _load(slug, parsed)
    except IntegrityError as error:
        raise UserError(f"Suite {slug!r} is being loaded by somebody else; try again.") from error


def _load(slug: str, parsed: ParsedSuite) -> LoadedSuite:
    before = newest_suite(slug)
    stored = before.tasks.select_related("category") if before else []
    old = {task.key: _content(task, task.category) for task in stored}
    categories = {category.key: category for category in parsed.categories}
    new = {task.key: _content(task, categories[task.category]) for task in parsed.tasks}
    same = sum(old.get(key) == content for key, content in new.items())
    if before and old == new:
        # What a suite is called can be mended without a new version.
        Suite.objects.filter(pk=before.pk).update(title=parsed.title or slug, description=parsed.description)
        return LoadedSuite(before, created=0, unchanged=same)
    suite = Suite.objects.create(
        slug=slug,
        version=before.version + 1 if before else 1,
        title=parsed.title or slug,
        description=parsed.description,
    )
    _add(suite, parsed)
    return LoadedSuite(suite, created=len(new) - same, unchanged=same)


def refuse_bad_slug(slug: str, what: str) -> None:
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        raise UserError(
            f"{slug!r} can't be the short name of a {what}: at most {LONGEST_SLUG} letters, digits, - and _."
        )


def newest_suite(slug: str) -> Suite | None:
    return Suite.objects.filter(slug=slug).order_by("-version").first()


def get_suite(name: str) -> Suite:
    """SLUG is its newest version, SLUG@VERSION that one."""
    slug, at, version = name.partition("@")
    found = newest_suite(slug)
    if at:
        found = next((s for s in Suite.objects.filter(slug=slug) if str(s.version) == version), None)
    if found is None:
        known = ", ".join(sorted({suite.slug for suite in Suite.objects.all()})) or "none yet"
        raise UserError(
            f"There is no suite {name!r} (known: {known}); load it with `manage.py loadsuite --slug {slug}`."
        )
    return found


def _content(task: ParsedTask | Task, category: ParsedCategory | Category) -> str:
    """What a task is, parsed or stored: where it differs, the suite is a new version."""
    return digest(
        task.text, task.language, str(task.control), str(task.training), json.dumps(task.meta, sort_keys=True),
        category.key, category.title, category.context, category.question,
    )  # fmt: skip


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
        self.by_text.setdefault((_text_digest(task.text), task.language), task)
        task.text = ""  # a suite may hold 100,000 of them

    def find(self, path: str, line: int, key: str, prompt: str, category: str, language: str) -> Task:
        task = self.by_key.get(task_key(key)) if key else self._find_text(prompt, language)
        if task is None and self.create and prompt.strip():
            task = self._make(path, line, key, prompt, category, language)
        if task is None:
            found = (
                f"key {excerpt(key)}" if key else f"a prompt that starts {' '.join(prompt.split())[:50]!r}"
            )
            hint = " (a task made with --create-tasks needs a prompt)" if self.create else ""
            raise FormatError(path, line, f"a task of suite {self.suite}{hint}", found)
        return task

    def _find_text(self, prompt: str, language: str) -> Task | None:
        text = _text_digest(storable(prompt)[0])
        return self.by_text.get((text, language)) or self.by_text.get((text, "en"))

    def _make(self, path: str, line: int, key: str, prompt: str, category: str, language: str) -> Task:
        same = self.by_text.get((_text_digest(storable(prompt)[0]), language))
        if same:
            raise FormatError(path, line, "each text once in a language", f"the text of {same.key!r} again")
        require_fit(path, line, Task, language=language)
        require_fit(path, line, Category, title=category)
        task = Task(
            suite=self.suite,
            category=self._category(category or "Uncategorised"),
            key=task_key(key or f"task-{digest(prompt)[:16]}"),
            language=language,
            text=storable(prompt)[0],
        )
        task.save()
        self._remember(task)
        return task

    def _category(self, title: str) -> Category:
        """By title or key, so that a title in another case or with other punctuation is no second category."""
        found = self.categories.get(title.lower()) or self.categories.get(slug(title))
        if found is None:
            position = self.suite.categories.count() + 1
            found = Category.objects.create(suite=self.suite, key=slug(title), title=title, position=position)
        self.categories |= {title.lower(): found, found.key: found}
        return found


def _text_digest(text: str) -> str:
    return digest(task_text_key(text))
