"""Finding the task that a row of a file is about, or what it is to be made of where that was asked for.

A row may name its task by key, by text, or by both, and say its category. What it says must agree with what
the suite and the rows before it say: a response is never filed under a question or a category that its row
contradicts. Nothing is written: what is to be made has a key below 0.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from arbiter.core.naming import ByName
from arbiter.core.text import digest, folded, storable
from benchmark.column_limits import require_fit
from benchmark.formats.names import slug, task_key
from benchmark.formats.reading import excerpt
from benchmark.formats.records import FormatError
from benchmark.formats.task_texts import task_text_key
from benchmark.models import Category, Suite, Task

SHOWN = 80  # characters of a task's text that are kept for an error
UNCATEGORISED = "Uncategorised"


Place = tuple[str, int]  # path, line


@dataclass(frozen=True, slots=True)
class TaskMention:
    """What a row says of its task, and where it stands."""

    path: str
    line: int
    key: str
    prompt: str
    category: str
    language: str
    text: str  # the prompt's normal form as a digest; empty without a prompt

    @property
    def place(self) -> Place:
        return self.path, self.line

    def after(self, first: Place) -> str:
        return f"line {first[1]}" + (f" of {first[0]}" if first[0] != self.path else "")


class TaskFinder:
    """Finds a response's task by key or by its text. Where making it was asked for and there is none, it says
    of what: `on_new` is given the task whole, once."""

    def __init__(
        self, suite: Suite, create: bool = False, on_new: Callable[[Task], None] = lambda task: None
    ) -> None:
        self.suite, self.create, self.on_new = suite, create, on_new
        self.new_categories: list[Category] = []
        self.by_key: ByName[Task] = ByName()
        self.by_text: dict[tuple[str, str], list[Task]] = defaultdict(list)
        self.texts: dict[int, str] = {}  # a task's text, as a digest of its normal form
        self.asked: dict[int, Place] = {}  # by task: the first row that said its text
        self.filed: dict[int, Place] = {}  # by task: the first row that said its category
        self.made: dict[int, Place] = {}  # by task: the row it was made from
        self.categories: dict[str, Category] = {}
        if suite.pk:
            for category in suite.categories.all():
                self._know(category, category.title)
            for task in suite.tasks.select_related("category").iterator():
                self._remember(task)
        self.last = max(self.texts, default=0)  # the key of the suite's newest task

    def _remember(self, task: Task) -> None:
        text = _text_digest(task.text)
        self.by_key.add(task.key, task)
        self.by_text[text, folded(task.language)].append(task)
        self.texts[task.pk] = text
        task.text = task.text[:SHOWN]  # a suite may hold 100,000 of them

    def _know(self, category: Category, title: str) -> None:
        for name in (category.key, slug(category.title), folded(category.title), folded(title)):
            self.categories.setdefault(name, category)

    def find(self, path: str, line: int, key: str, prompt: str, category: str, language: str) -> Task:
        text = _text_digest(storable(prompt)[0]) if prompt.strip() else ""
        row = TaskMention(path, line, key, prompt, category, language, text)
        task = self._by_key(row) if key else self._by_text(row)
        if task is None and self.create and text:
            task = self._make(row)
        if task is None:
            actual = (
                f"key {excerpt(key)}" if key else f"a prompt that starts {' '.join(prompt.split())[:50]!r}"
            )
            hint = " (a task made with --create-tasks needs a prompt)" if self.create else ""
            raise FormatError(path, line, f"a task of suite {self.suite}{hint}", actual)
        if text:
            self._agree_on_text(task, row)
        if category:
            self._agree_on_category(task, row)
        return task

    def _by_key(self, row: TaskMention) -> Task | None:
        tasks = self.by_key.find(task_key(row.key)) or self.by_key.find(task_key(folded(row.key)))
        return self._only(tasks, row, f"key {excerpt(row.key)}")

    def _by_text(self, row: TaskMention) -> Task | None:
        tasks = self.by_text.get((row.text, folded(row.language))) or self.by_text.get((row.text, "en"), [])
        return self._only(tasks, row, "a prompt")

    def _only(self, tasks: list[Task], row: TaskMention, what: str) -> Task | None:
        if len(tasks) > 1:
            keys = " and ".join(excerpt(task.key) for task in tasks[:2])
            raise FormatError(
                row.path,
                row.line,
                f"a row that fits one task of suite {self.suite}",
                f"{what} that fits {keys}; name its key",
            )
        return tasks[0] if tasks else None

    # What a row says of its task, against what is known of it

    def _agree_on_text(self, task: Task, row: TaskMention) -> None:
        if self.texts[task.pk] == row.text:
            self.asked.setdefault(task.pk, row.place)
            return
        first = self.asked.get(task.pk)
        where = f"on {row.after(first)}" if first else f"in suite {self.suite}"
        raise FormatError(
            row.path,
            row.line,
            f"one prompt for task {excerpt(task.key)}, which {where} is {excerpt(task.text)}",
            f"another: {excerpt(row.prompt)}",
        )

    def _agree_on_category(self, task: Task, row: TaskMention) -> None:
        said = self.categories.get(folded(row.category)) or self.categories.get(slug(row.category))
        if said is not None and said.pk == task.category_id:
            self.filed.setdefault(task.pk, row.place)
            return
        first = self.filed.get(task.pk) or self.made.get(task.pk)
        where = f"on {row.after(first)}" if first else f"in suite {self.suite}"
        raise FormatError(
            row.path,
            row.line,
            (
                f"one category for task {excerpt(task.key)}, which {where} is in "
                f"{excerpt(task.category.title)}"
            ),
            f"another: {excerpt(row.category)}",
        )

    # Making what is missing

    def _make(self, row: TaskMention) -> Task:
        if same := self.by_text.get((row.text, folded(row.language))):
            first = self.asked.get(same[0].pk)
            since = f" (first on {row.after(first)})" if first else ""
            raise FormatError(
                row.path,
                row.line,
                "each text once in a language",
                f"the text of {same[0].key!r} again{since}",
            )
        require_fit(row.path, row.line, Task, language=row.language)
        require_fit(row.path, row.line, Category, title=row.category)
        task = Task(
            pk=-len(self.made) - 1,
            suite=self.suite,
            category=self._category(row.category or UNCATEGORISED),
            key=_key_of(row),
            language=row.language,
            text=storable(row.prompt)[0],
        )
        self.on_new(task)
        self._remember(task)
        self.made[task.pk] = row.place
        return task

    def _category(self, title: str) -> Category:
        """Return the category of this title or key, a new one where there is none: a title in another case or
        with other punctuation is no second category."""
        category = self.categories.get(folded(title)) or self.categories.get(slug(title))
        if category is None:
            number = len(self.new_categories) + 1
            category = Category(pk=-number, suite=self.suite, key=slug(title), title=title, position=number)
            self.new_categories.append(category)
        self._know(category, title)
        return category


def _key_of(row: TaskMention) -> str:
    """Return the row's key as it was written where that will do for a suite's;
    else one made from the form it is compared in."""
    if not row.key:
        return task_key(f"task-{digest(row.prompt)[:16]}")
    return row.key if task_key(row.key) == row.key else task_key(folded(row.key))


def _text_digest(text: str) -> str:
    return digest(task_text_key(text))
