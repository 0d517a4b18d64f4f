"""Bringing a parsed suite into the database, and finding suites by name."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.db import IntegrityError, transaction

from arbiter.core.errors import UserError
from arbiter.core.text import digest
from benchmark.formats.names import SLUG
from benchmark.formats.records import ParsedCategory, ParsedSuite, ParsedTask
from benchmark.models import Category, Suite, Task

BUILTIN = Path(__file__).parent / "builtin" / "suite"
LONGEST_SLUG = 80


@dataclass(frozen=True)
class LoadedSuite:
    suite: Suite
    created: int
    unchanged: int

    def summary(self) -> dict[str, object]:
        """Return the suite's counts for a command to print.
        Categories count the tasks that enter the rates; controls are told apart."""
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
    """Make the suite, or its next version where the file differs from the newest;
    an equal one changes nothing."""
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
        slug=before.slug if before else slug,
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
    return Suite.objects.filter(slug=slug_there(slug)).order_by("-version").first()


def slug_there(slug: str) -> str:
    """Return the short name as the suite that has it was first written, in whatever case;
    as it is, where none has."""
    if Suite.objects.filter(slug=slug).exists():
        return slug
    return (
        Suite.objects.filter(slug__iexact=slug).order_by("pk").values_list("slug", flat=True).first() or slug
    )


def get_suite(name: str) -> Suite:
    """Return the suite of this name, UserError where there is none:
    SLUG is its newest version, SLUG@VERSION that one."""
    slug, at, version = name.partition("@")
    suite = newest_suite(slug)
    if at:
        versions = Suite.objects.filter(slug=slug_there(slug))
        suite = next((s for s in versions if str(s.version) == version), None)
    if suite is None and at and (there := newest_suite(slug)):
        raise UserError(f"Suite {slug!r} has no version {version[:20]!r}; its newest is {there}.")
    if suite is None:
        known = ", ".join(sorted({suite.slug for suite in Suite.objects.all()})) or "none yet"
        raise UserError(
            f"There is no suite {name!r} (known: {known}); load it with `manage.py loadsuite --slug {slug}`."
        )
    return suite


def _content(task: ParsedTask | Task, category: ParsedCategory | Category) -> str:
    """Hash all that makes a task, parsed or stored: where it differs, the suite is a new version."""
    return digest(
        task.text,
        task.language,
        str(task.control),
        str(task.training),
        json.dumps(task.meta, sort_keys=True),
        category.key,
        category.title,
        category.context,
        category.question,
    )


def _add(suite: Suite, parsed: ParsedSuite) -> None:
    categories = {
        category.key: Category.objects.create(
            suite=suite,
            key=category.key,
            title=category.title,
            context=category.context,
            question=category.question,
            position=position,
        )
        for position, category in enumerate(parsed.categories, start=1)
    }
    Task.objects.bulk_create(
        [
            Task(
                suite=suite,
                category=categories[task.category],
                key=task.key,
                language=task.language,
                text=task.text,
                text_hash=digest(task.text),
                control=task.control,
                training=task.training,
                meta=dict(task.meta),
            )
            for task in parsed.tasks
        ],
        batch_size=1000,
    )
