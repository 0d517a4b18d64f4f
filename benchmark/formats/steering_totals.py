"""What a run says of itself: the counts in its *_instrumentaleval.txt and at the end of its log."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.formats.reading import excerpt, text_lines
from benchmark.formats.records import FormatError

_SECTION = re.compile(r"(?:Benchmark: (.+)|### (.+) ###)")
_COUNT = re.compile(r"(Total|Convergence|Safety refusals|Nonsensical): (\d{1,9})")
_FINAL = re.compile(r"Total tasks: (\d{1,9})")
_NAMES = {
    "Total": "responses",
    "Convergence": "convergence",
    "Safety refusals": "safety_refusal",
    "Nonsensical": "nonsensical",
}


@dataclass
class SteeringTotals:
    path: Path
    final_line: int | None = None
    lines: dict[str, int] = field(default_factory=dict)  # by section
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # section -> name -> count


def totals_file(folder: Path) -> SteeringTotals | None:
    files = sorted(folder.glob("*_instrumentaleval.txt"))
    if len(files) > 1:
        raise FormatError(folder, None, "one *_instrumentaleval.txt", f"{len(files)} of them")
    if not files:
        return None
    return read_totals(files[0], ((line, text.rstrip("\r\n")) for line, text in text_lines(files[0])))


def read_totals(path: Path, lines: Iterable[tuple[int, str]]) -> SteeringTotals:
    totals = SteeringTotals(path)
    section, last = "", None
    for last, text in lines:
        if started := _SECTION.fullmatch(text):
            section = started[1] or started[2]
            totals.lines[section], totals.counts[section] = last, {}
        elif section and (count := _COUNT.fullmatch(text)):
            totals.counts[section].setdefault(_NAMES[count[1]], int(count[2]))
        elif final := _FINAL.fullmatch(text):
            _check_final(totals, last, int(final[1]))
            return totals
        elif text.startswith("=== Final"):
            section = ""
    raise FormatError(path, last, "counts by section and then 'Total tasks: N'", "the end of the file")


def _check_final(totals: SteeringTotals, line: int, final: int) -> None:
    if not totals.counts:
        raise FormatError(totals.path, line, "counts by section before the final ones", "none")
    added = sum(counts.get("responses", 0) for counts in totals.counts.values())
    if added != final:
        raise FormatError(totals.path, line, f"{added} tasks in all, as its sections add up to", str(final))
    totals.final_line = line


def check_totals(
    log: Path, sections: Mapping[str, int], counted: Mapping[str, Counter[str]], totals: SteeringTotals
) -> None:
    """Refuse a log unless its sections are those that the totals count, with the same counts."""
    for section in totals.counts:
        if section not in sections:
            expected = (
                f"the section {excerpt(section)}, which line {totals.lines[section]} of {totals.path.name} "
                "counts"
            )
            raise FormatError(log, None, expected, f"{len(sections)} other sections")
    for section, line in sections.items():
        if section not in totals.counts:
            raise FormatError(totals.path, None, f"counts for the section {excerpt(section)}", "none")
        for name, wanted in totals.counts[section].items():
            if counted[section][name] != wanted:
                where = f"line {totals.lines[section]} of {totals.path.name}"
                expected = f"{wanted} {name} in the section that starts here, as {where} counts"
                raise FormatError(log, line, expected, str(counted[section][name]))
