"""The page of the coverage study."""

from typing import Any

from tests.studies.coverage import HIGHEST, LOWEST, Cell

HEAD = """\
# Coverage of the corrected rates

Measured by `make coverage-study`, which writes this page: {repetitions:,} made-up arms a line, seed {seed}. How the rates and
their intervals are made is told in [statistics](statistics.md#rates).

An arm has 1,000 responses: to 1,000 tasks, or, clustered, to 200 tasks of five each, whose true rates differ between tasks
(correlation .2 within a task) and whose difficulty moves all judges (standard deviation .6 logits). Three judges, from lenient
to strict, have sensitivity .90, .75, .60 and specificity .70, .85, .95; correlated ones share their luck on 60 % of the
responses. Gold is free of error, and drawn at random or weighted by disagreement (40 % of the budget where judges split). What
is to be covered is the rate that the tasks are drawn from; *these items* is the interval of `--finite` and the rate in the
very arm. Widths are means, in percentage points. The Monte Carlo error is of the corrected interval's coverage.
"""
COLUMNS = (
    "| prevalence | gold | drawn | judges | tasks | corrected covers | Monte Carlo error | width | gold only covers | width | these items |\n"
    "|---:|---:|---|---|---|---:|---:|---:|---:|---:|---:|\n"
)
SHARP = """
## Where judges are much better than that

With independent judges of sensitivity .95, .93, .90 and specificity .93, .95, .97, nearly all responses with one number of
votes have one label. A handful of gold items can't show that, so the interval stays on the safe side and covers more than 95 %,
most of all for these items; it is still much narrower than the one from gold alone.

"""


def page(rows: list[dict[str, Any]], repetitions: int, seed: int) -> tuple[str, int]:
    """The page, and how many required cells miss what they must hold."""
    found = [Cell(**row) for row in rows]
    required, sharp = [one for one in found if not one.sharp], [one for one in found if one.sharp]
    missed = [one for one in required if not holds(one)]
    text = HEAD.format(repetitions=repetitions, seed=seed) + "\n" + summary(required, missed) + "\n\n"
    text += COLUMNS + "".join(map(line, required)) + SHARP + COLUMNS + "".join(map(line, sharp))
    return text, len(missed)


def holds(cell: Cell) -> bool:
    """Covers neither too little nor too much, and is narrower than gold alone, which covers enough too."""
    return (
        LOWEST <= cell.corrected <= HIGHEST
        and cell.corrected_width < cell.gold_only_width
        and cell.gold_only >= LOWEST
    )


def summary(cells: list[Cell], missed: list[Cell]) -> str:
    covers = [cell.corrected for cell in cells]
    ratios = sorted(cell.corrected_width / cell.gold_only_width for cell in cells)
    verdict = "None misses" if not missed else f"{len(missed)} miss"
    return (
        f"Of {len(cells)} cells, the corrected interval covers between {min(covers):.1%} and {max(covers):.1%}; its width is "
        f"{ratios[0]:.0%} to {ratios[-1]:.0%} of that from gold alone. {verdict} what must hold: coverage between {LOWEST:.0%} and "
        f"{HIGHEST:.1%}, and a narrower interval than gold alone, which covers at least {LOWEST:.0%} too."
    )


def line(cell: Cell) -> str:
    return (
        f"| {cell.prevalence:g} | {cell.gold} | {'by disagreement' if cell.weighted else 'at random'} "
        f"| {'correlated' if cell.correlated else 'independent'} | {'clustered' if cell.clustered else 'single'} "
        f"| {cell.corrected:.1%} | {cell.error:.1%} | {100 * cell.corrected_width:.1f} | {cell.gold_only:.1%} "
        f"| {100 * cell.gold_only_width:.1f} | {cell.finite:.1%} |\n"
    )
