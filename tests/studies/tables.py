"""The page of the coverage study."""

import math
from typing import Any

from arbiter.statistics.clusters import ALIKE
from tests.studies.coverage import HIGHEST, LOWEST, Cell

HEAD = """\
# Coverage of the corrected rates

Measured by `make coverage-study`, which writes this page: {repetitions:,} made-up arms a line, seed {seed}.
How the rates and their intervals are made is told in [statistics](statistics.md#rates); which cells fall
short, [below](#where-intervals-cover-too-little). `make coverage-study ARGS="REPETITIONS SEED"` measures
other numbers and leaves this page alone. On one core the parts of this page take about ten minutes, and those
[told elsewhere](#measured-by-the-same-command-told-elsewhere), which have numbers of their own, some forty.

An arm has 1,000 responses: to 1,000 tasks, or, clustered, to 200 tasks of five each, whose true rates differ
between tasks (correlation .2 within a task) and whose difficulty moves all judges (standard deviation .6
logits). Three judges, from lenient to strict, have sensitivity .90, .75, .60 and specificity .70, .85, .95;
correlated ones share their luck on 60 % of the responses. Gold is free of error, and drawn at random or
weighted by disagreement (40 % of the budget where judges split). What is to be covered is the rate that the
tasks are drawn from; *these items* is the interval of `--finite` and the rate in the very arm. Widths are
means, in percentage points. The Monte Carlo error is of the corrected interval's coverage.
"""
COLUMNS = (
    "| prevalence | gold | drawn | judges | tasks | corrected covers | Monte Carlo error | width "
    "| gold only covers | width | these items |\n"
    "|---:|---:|---|---|---|---:|---:|---:|---:|---:|---:|\n"
)
SHARP = """
## Where judges are much better than that

With independent judges of sensitivity .95, .93, .90 and specificity .93, .95, .97, nearly all responses with
one number of votes have one label. A handful of gold items can't show that, so the interval stays on the safe
side and mostly covers more than 95 %, most of all for these items; it is still much narrower than the one
from gold alone.

"""


TASKS = """
## Few tasks, and uneven ones

The 1,000 responses are to twelve tasks, or to 76 of which a few have most (worth 23 of equal size); judges
are correlated, and tasks differ as above. Intervals go by Student's t over the tasks, so they are wide where
tasks are few, and cover enough.

"""
SEVEN = """
## Seven judges

Four good ones and three poor ones. A stratum of votes stands by itself only with enough gold, so the
corrected interval is narrower than that from gold alone also where targets are rare.

"""
LABELLED = """
## Rates as labelled

Responses to tasks whose true rates are drawn from a Beta distribution, with the correlation within tasks that
is told; labels are true, so that only tasks and responses vary. The difference is that of a second arm over
the same tasks, with a rate 10 points higher and the same luck. From a count of 0 on, one method; where
nothing can be seen of how alike responses are, a correlation of .2 is assumed: where it is less, the interval
covers too much, and where it is .4 and targets are rare, [somewhat too
little](#where-intervals-cover-too-little).

| tasks | prevalence | correlation | covers | Monte Carlo error | width | difference covers | width |
|---|---:|---:|---:|---:|---:|---:|---:|
"""
UNEQUAL = """
## Strata labelled at different rates

Of 1,000 responses, half have nine tenths of 500 gold labels; strata of votes hold responses of both halves.
What is to be covered is the rate in the very arm.

| interval | prevalence | covers | Monte Carlo error | width |
|---|---:|---:|---:|---:|
"""
PPI = """
## PPI++

Its interval is a normal one. Below 50 gold items it is refused; from 50 to 200 it still covers too little in
most cells. It stands beside the corrected rate for comparison; take the corrected one.

| interval | prevalence | covers | Monte Carlo error | width |
|---|---:|---:|---:|---:|
"""
LOOKS = """
## At every look

Four arms, at .05, .9, .9 and .9, looked at after every 20 labels, from 30 gold items in each arm to 100.
*Missed*: the share of runs in which the rate lay outside the interval at some look; beside it that of the
corrected interval, which is meant to be looked at once.

| arm | missed at some look | Monte Carlo error | looked at as if once |
|---|---:|---:|---:|
"""
SHORT = """
## Where intervals cover too little

Intervals of 95 % that covered less than {lowest:.0%} here, whatever chance had to do with it. With
{repetitions:,} repetitions the Monte Carlo error is .7 to 1.0 points; of {cells} coverages measured for this
page, those of PPI++ apart, {count} lie so low.

| interval | case | covers |
|---|---|---:|
"""
APART = """
## Measured by the same command, told elsewhere

- How often the bias battery accuses judges of whom none is biased, also where gold errs, and how strong a
  bias must be to be found: [biases](statistics.md#how-strong-a-bias-must-be).
- How far posteriors of settled labels hold, and what is accepted:
  [settlement](statistics.md#how-well-it-works).

How often bounds under human error hold the true rate is measured apart: [human
error](statistics.md#human-error).
"""
Rows = list[dict[str, Any]]
Covered = tuple[str, str, float]  # interval, case, share of repetitions


def page(rows: Rows, parts: dict[str, Rows], repetitions: int, seed: int) -> tuple[str, int]:
    """Write the page, and count how many required cells miss what they must hold."""
    cells = [Cell(**row) for row in rows]
    required = [one for one in cells if not (one.sharp or one.tasks or one.seven)]
    sharp, seven = [one for one in cells if one.sharp], [one for one in cells if one.seven]
    tasks = [one for one in cells if one.tasks]
    missed = [one for one in required if not holds(one)]
    few = [
        cell
        for cell in tasks
        if min(cell.corrected, cell.gold_only) < LOWEST - 2 * error(LOWEST, cell.repetitions)
    ]
    text = HEAD.format(repetitions=repetitions, seed=seed) + "\n" + summary(required, missed) + "\n\n"
    text += COLUMNS + "".join(map(line, required)) + SHARP + COLUMNS + "".join(map(line, sharp))
    text += TASKS + COLUMNS + "".join(map(line, tasks)) + SEVEN + COLUMNS + "".join(map(line, seven))
    text += LABELLED + "".join(map(labelled_line, parts["labelled"]))
    text += UNEQUAL + "".join(map(other_line, parts["unequal"]))
    text += PPI + "".join(map(other_line, parts["ppi"]))
    text += LOOKS + "".join(map(look_line, parts["looks"])) + shortfalls(cells, parts, repetitions) + APART
    return text, len(missed) + len(few) + wrong(parts)


def shortfalls(cells: list[Cell], parts: dict[str, Rows], repetitions: int) -> str:
    """List the cells that cover less than they must; those of PPI++ are told by a table of its own."""
    covered = [*(one for cell in cells for one in coverages(cell)), *other_coverages(parts)]
    low = sorted((one for one in covered if one[2] < LOWEST), key=lambda one: one[2])
    head = SHORT.format(lowest=LOWEST, repetitions=repetitions, cells=len(covered), count=len(low))
    return head + "".join(f"| {interval} | {case} | {covers:.1%} |\n" for interval, case, covers in low)


def coverages(cell: Cell) -> list[Covered]:
    judges = "correlated" if cell.correlated else "independent"
    judges = "sharp" if cell.sharp else "seven" if cell.seven else judges
    gold = f"{cell.gold} gold items {'by disagreement' if cell.weighted else 'at random'}"
    case = f"prevalence {cell.prevalence:g}, {gold}, {judges} judges, tasks: {kind(cell)}"
    return [
        ("corrected", case, cell.corrected),
        ("gold alone", case, cell.gold_only),
        ("corrected, these items", case, cell.finite),
    ]


def other_coverages(parts: dict[str, Rows]) -> list[Covered]:
    coverages = [
        (row["what"], f"prevalence {row['prevalence']:g}, strata labelled unequally", row["covers"])
        for row in parts["unequal"]
    ]
    for row in parts["labelled"]:
        case = f"tasks: {row['tasks']}, prevalence {row['prevalence']:g}, correlation {row['alike']:g}"
        coverages += [
            ("as labelled", case, row["covers"]),
            ("difference, as labelled", case, row["difference"]),
        ]
    return coverages


def wrong(parts: dict[str, Rows]) -> int:
    """Count the claims of the other tables that do not hold, Monte Carlo error apart."""
    covered = [row for row in parts["labelled"] if row["alike"] <= ALIKE] + parts["unequal"]
    looked = [row for row in parts["looks"] if row["anytime"] > 0.05 + 2 * error(0.05, row["repetitions"])]
    return sum(row["covers"] < LOWEST - 2 * error(0.95, row["repetitions"]) for row in covered) + len(looked)


def error(share: float, repetitions: int) -> float:
    return math.sqrt(max(share * (1 - share), 1e-4) / repetitions)


def labelled_line(row: dict[str, Any]) -> str:
    covers = f"{row['covers']:.1%} | {error(row['covers'], row['repetitions']):.1%}"
    return (
        f"| {row['tasks']} | {row['prevalence']:g} | {row['alike']:g} | {covers} "
        f"| {100 * row['width']:.1f} | {row['difference']:.1%} | {100 * row['difference_width']:.1f} |\n"
    )


def other_line(row: dict[str, Any]) -> str:
    covers = f"{row['covers']:.1%} | {error(row['covers'], row['repetitions']):.1%}"
    return f"| {row['what']} | {row['prevalence']:g} | {covers} | {100 * row['width']:.1f} |\n"


def look_line(row: dict[str, Any]) -> str:
    missed = f"{row['anytime']:.1%} | {error(row['anytime'], row['repetitions']):.1%}"
    return f"| {row['arm']} | {missed} | {row['single']:.1%} |\n"


def holds(cell: Cell) -> bool:
    """Tell whether a cell covers as it must, chance apart, and is narrower than gold alone, which covers
    too."""
    slack = 2 * error(LOWEST, cell.repetitions)
    return (
        LOWEST - slack <= cell.corrected <= HIGHEST + slack
        and cell.corrected_width < cell.gold_only_width
        and cell.gold_only >= LOWEST - slack
    )


def summary(cells: list[Cell], missed: list[Cell]) -> str:
    covers = [cell.corrected for cell in cells]
    ratios = sorted(cell.corrected_width / cell.gold_only_width for cell in cells)
    verdict = "None misses" if not missed else f"{len(missed)} miss"
    return (
        f"Of {len(cells)} cells, the corrected interval covers between {min(covers):.1%} and "
        f"{max(covers):.1%}; its width is {ratios[0]:.0%} to {ratios[-1]:.0%} of that from gold alone. "
        f"{verdict} what must hold: coverage between {LOWEST:.0%} and {HIGHEST:.1%}, and a narrower interval "
        f"than gold alone, which covers at least {LOWEST:.0%} too, two Monte Carlo errors apart."
    )


def line(cell: Cell) -> str:
    return (
        f"| {cell.prevalence:g} | {cell.gold} | {'by disagreement' if cell.weighted else 'at random'} "
        f"| {'correlated' if cell.correlated else 'independent'} | {kind(cell)} "
        f"| {cell.corrected:.1%} | {cell.error:.1%} | {100 * cell.corrected_width:.1f} "
        f"| {cell.gold_only:.1%} | {100 * cell.gold_only_width:.1f} | {cell.finite:.1%} |\n"
    )


def kind(cell: Cell) -> str:
    names = {"few": "twelve", "uneven": "76 uneven"}
    return names.get(cell.tasks) or ("clustered" if cell.clustered else "single")
