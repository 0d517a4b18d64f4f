"""What the simulation studies say of themselves; what they measure takes too long for a test."""

from tests.studies import __main__ as studies
from tests.studies import tables
from tests.studies.coverage import Cell

CELL = Cell(0.2, 50, False, True, False, False, False, "few", 1000, 0.95, 0.3, 0.929, 0.4, 0.93)
ROW = {"tasks": "12 of 83", "prevalence": 0.03, "alike": 0.4, "covers": 0.97, "difference": 0.911}


def test_intervals_that_cover_too_little_are_told_the_worst_first():
    text = tables.shortfalls([CELL], {"labelled": [ROW], "unequal": []}, 1000)
    assert [line for line in text.splitlines() if line.endswith("% |")] == [
        "| difference, as labelled | tasks: 12 of 83, prevalence 0.03, correlation 0.4 | 91.1% |",
        "| gold alone | prevalence 0.2, 50 gold items at random, correlated judges, tasks: twelve | 92.9% |",
    ]
    assert "of 5 coverages" in text and "2 lie so low" in text


def test_each_part_takes_the_repetitions_it_is_given_and_the_slow_ones_no_more_than_theirs(
    tmp_path, monkeypatch
):
    taken = {}

    class Study:
        def __init__(self, name):
            self.name = name

        def main(self, repetitions, seed):
            taken[self.name] = (repetitions, seed)
            return [{"row": 1}]

        def table(self, rows):
            return f"{self.name}: {rows}"

    monkeypatch.setattr(studies.coverage, "worlds", list)
    monkeypatch.setattr(studies, "PARTS", {"quick": Study("quick").main})
    monkeypatch.setattr(studies, "OTHERS", {"slow": (Study("slow"), 400)})
    monkeypatch.setattr(studies, "page", lambda rows, parts, repetitions, seed: ("", 0))
    assert studies.main([str(tmp_path), "1200", "7"]) == 0
    assert taken == {"quick": (1200, 7), "slow": (400, 7)}
    taken.clear()
    assert studies.main([str(tmp_path), "1200", "7"]) == 0 and taken == {}  # what is finished is kept
    studies.main([str(tmp_path), "3", "7"])
    assert taken == {"quick": (3, 7), "slow": (3, 7)}
