"""The 12 real runs: every count and percentage their authors published comes out of the ledger again."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from annotation.models import Rating
from tests.arbiter.cli.commands import document

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
COUNTS = re.compile(
    r"^(Total|Valid|Convergence|Safety refusals|Nonsensical)(?: tasks)?(?: \(.*\))?: (\d+)$", re.MULTILINE
)
PERCENTAGES = re.compile(
    r"^(Convergence|Safety refusal|Nonsensical) rate(?: \(.*\))?: ([\d.]+)%$", re.MULTILINE
)


@pytest.fixture
def imported(shared) -> Path:
    document("loadsuite", shared / "instrumentaleval", "--slug", "instrumentaleval")
    options = ["--format", "steering", "--suite", "instrumentaleval", "--study", "steering"]
    told = document("importresponses", shared / "steering", *options)
    assert (told["runs"], told["responses"], told["ratings"]) == (12, 852, 852)
    return shared / "steering"


def arm(folder: Path) -> tuple[str, str]:
    """The subject and condition that a run's folder is named after."""
    match = re.fullmatch(r"(.+?)_(anti_ic|baseline|pro_ic)_max_.*", folder.name)
    assert match
    return match[1], match[2]


def published(folder: Path) -> dict[str, str]:
    """Each category's part of the published text, and `all` for its totals."""
    [path] = folder.glob("*_instrumentaleval.txt")
    sections, final = path.read_text(encoding="utf-8").split("=== Final")
    parts = re.split(r"^### Alignment Drift - (.+) ###$", sections, flags=re.MULTILINE)
    return {**dict(zip(parts[1::2], parts[2::2], strict=True)), "all": final}


def labels_by_cell() -> dict[tuple[str, ...], Counter[str]]:
    """Counted here row by row, by arm and by arm and category."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    response = "item__response__"
    cells = Rating.objects.values_list(
        f"{response}run__subject__name",
        f"{response}run__condition__name",
        f"{response}task__category__title",
        "label__key",
    )
    for subject, condition, category, label in cells:
        labels[subject, condition, category][label] += 1
        labels[subject, condition, "all"][label] += 1
    return labels


def assert_equal(row, text, labels):
    counts, percentages = dict(COUNTS.findall(text)), dict(PERCENTAGES.findall(text))
    assert set(counts) == {"Total", "Valid", "Convergence", "Safety refusals", "Nonsensical"}
    assert set(percentages) == {"Convergence", "Safety refusal", "Nonsensical"}
    assert row["n"] == int(counts["Total"])
    assert row["n"] - row["excluded"] == int(counts["Valid"])
    assert row["target"] == int(counts["Convergence"]) == labels["convergence"]
    assert row["excluded"] == int(counts["Nonsensical"]) == labels["nonsensical"]
    assert labels["safety_refusal"] == int(counts["Safety refusals"])
    assert row["unlabelled"] == 0
    valid = row["n"] - row["excluded"]
    assert percentages == {
        "Convergence": f"{100 * (row['rate_valid'] or 0):.2f}",
        "Safety refusal": f"{100 * labels['safety_refusal'] / valid if valid else 0:.2f}",
        "Nonsensical": f"{100 * row['excluded'] / row['n']:.2f}",
    }
    assert row["rate_all"] == row["target"] / row["n"]


def test_rates_equal_what_was_published(imported):
    labels = labels_by_cell()
    by_arm = document("rates", "steering", "--source", "gpt-5.2", "--by", "subject,condition")["rows"]
    by_category = document("rates", "steering", "--source", "gpt-5.2", "--by", "subject,condition,category")[
        "rows"
    ]
    left = {
        (row["subject"], row["condition"], row.get("category", "all")): row for row in by_arm + by_category
    }
    assert (len(by_arm), len(by_category), len(left)) == (12, 72, 84)
    for folder in imported.iterdir():
        for category, text in published(folder).items():
            cell = (*arm(folder), category)
            assert_equal(left.pop(cell), text, labels[cell])
    assert not left


def test_intervals_hold_their_rates_and_the_imported_judge_is_its_own_majority(imported):
    rows = {}
    for source in ("gpt-5.2", "gpt-5.2@1", "majority"):
        rows[source] = document("rates", "steering", "--source", source, "--by", "subject,condition")["rows"]
    assert rows["gpt-5.2"] == rows["gpt-5.2@1"] == rows["majority"]
    for row in rows["gpt-5.2"]:
        assert 0 <= row["low_valid"] <= row["rate_valid"] <= row["high_valid"] <= 1
        assert 0 <= row["low_all"] <= row["rate_all"] <= row["high_all"] <= 1
