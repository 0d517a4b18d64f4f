"""The labels of a study's cells counted by role and task, for any source of labels, and what the cells are
called.

Two GROUP BYs: over items, and over labels by role. Control tasks stay out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from django.db.models import Count

from annotation.models import Study
from annotation.raters import voters_of
from arbiter.analysis.responseoutcomes import failed_responses
from arbiter.core.errors import UserError
from judging.votes.counting import votes_of
from judging.votes.sources import labels

PATHS = {
    "subject": ("response__run__subject", "response__run__subject__name"),
    "condition": ("response__run__condition", "response__run__condition__name"),
    "category": ("response__task__category", "response__task__category__title"),
}
Cell = tuple[int, ...]  # ids of what the rates are by
Roles = Counter[str]


def check_grouping(by: Sequence[str]) -> None:
    if not by:
        raise UserError("--by needs at least one of subject, condition, category.")
    for word in by:
        if word not in PATHS:
            raise UserError(f"--by takes any of {', '.join(PATHS)}, with commas between; found {word!r}.")
        if by.count(word) > 1:
            raise UserError(f"--by names {word!r} twice.")


def item_totals(study: Study, by: Sequence[str]) -> dict[Cell, int]:
    ids = [PATHS[word][0] for word in by]
    counted = (
        study.items.filter(response__task__control=False).order_by().values_list(*ids).annotate(Count("pk"))
    )
    return {tuple(cell): count for *cell, count in counted}


def roles_by_cell(study: Study, source: str, by: Sequence[str]) -> dict[Cell, dict[int, Roles]]:
    cells: dict[Cell, dict[int, Roles]] = defaultdict(lambda: defaultdict(Counter))
    for cell, task, role, count in _role_counts(study, source, by):
        cells[cell][task][role] += count
    return cells


def _role_counts(study: Study, source: str, by: Sequence[str]) -> Iterator[tuple[Cell, int, str, int]]:
    fields = [*(f"item__{PATHS[word][0]}" for word in by), "item__response__task"]
    if source == "majority":
        yield from _majority_counts(study, by)
        return
    kept = labels(study, source).filter(item__response__task__control=False)
    for *cell, task, role, count in kept.order_by().values_list(*fields, "label__role").annotate(Count("pk")):
        yield tuple(cell), task, role, count


def _majority_counts(study: Study, by: Sequence[str]) -> Iterator[tuple[Cell, int, str, int]]:
    """Count the majority's labels from the patterns of votes, not from the ratings. Without a tie only: then
    no label leads."""
    votes = votes_of(study, (*by, "task"), raters=voters_of(study), control=False)
    counts = votes.label_counts()
    most = counts.max(axis=1, initial=0)
    leads = (counts == most[:, None]) & (most > 0)[:, None]
    roles = [str(label.role) for label in votes.labels]
    cells = zip(*(votes.groups[word].tolist() for word in by), strict=True)
    rows = zip(cells, votes.groups["task"].tolist(), leads, votes.counts.tolist(), strict=True)
    for cell, task, leading, count in rows:
        if leading.sum() == 1:
            yield cell, task, roles[int(leading.argmax())], count


def cell_names(study: Study, by: Sequence[str]) -> dict[Cell, dict[str, str]]:
    """Return what each cell is called. Two conditions of one name are told apart by their content's hash."""
    ids, titles = [PATHS[word][0] for word in by], [PATHS[word][1] for word in by]
    hashes = [f"{PATHS['condition'][0]}__content_hash"] if "condition" in by else []
    rows = (
        study.items.filter(response__task__control=False)
        .order_by()
        .values_list(*ids, *titles, *hashes)
        .distinct()
    )
    gone = failed_responses(study).filter(task__control=False).order_by()
    paths = [path.removeprefix("response__") for path in (*ids, *titles, *hashes)]
    n = len(by)
    named = {tuple(r[:n]): (r[n : 2 * n], r[2 * n :]) for r in {*rows, *gone.values_list(*paths).distinct()}}
    common = Counter(words for words, _ in named.values())
    return {
        cell: {
            word: f"{name} #{content[0][:6]}" if word == "condition" and common[words] > 1 else name
            for word, name in zip(by, words, strict=True)
        }
        for cell, (words, content) in named.items()
    }
