"""Caps on what calls may come to: whether another fits, and what is said of them."""

from typing import Protocol

from arbiter.calls.prices import dollars


class CappedSpending(Protocol):
    """A row that says what may be spent and what is, with what is reserved for calls on their way."""

    max_calls: int | None
    max_cost: int | None
    calls: int
    cost: int


def fits(spending: CappedSpending, worst: int | None) -> bool:
    """Tell whether a call that costs no more than `worst` stays within the caps. Without a bound it never
    stays within one of dollars."""
    if spending.max_calls is not None and spending.calls >= spending.max_calls:
        return False
    return spending.max_cost is None or (worst is not None and spending.cost + worst <= spending.max_cost)


def spent_under_caps(spending: CappedSpending) -> str:
    """Return what is spent of each cap, in words."""
    caps = []
    if spending.max_calls is not None:
        caps.append(f"{spending.calls:,} of {spending.max_calls:,} calls")
    if spending.max_cost is not None:
        caps.append(f"{dollars(max(0, spending.cost))} of {dollars(spending.max_cost)}")
    return " and ".join(caps)


class ExpectedSpending(Protocol):
    """What calls that are still to be made will come to; None where that can't be told."""

    calls: int
    cost: int | None
    cost_at_most: int | None
    unpriced: list[str]  # those whose price is not known


Cap = tuple[int, int] | None  # of calls or picodollars: the cap, and what is left of it


def cap_left(cap: int | None, spent: int) -> Cap:
    """Return a cap with what is left of it; None for none."""
    return None if cap is None else (cap, max(0, cap - spent))


def stays_within(calls: Cap, cost: Cap, total: ExpectedSpending, whose: str) -> tuple[bool | None, str]:
    """Tell whether what is to come stays within the caps, and why;
    None where that depends on how long the answers are, or can't be told."""
    if calls is None and cost is None:
        return True, f"the {whose} has no cap"
    if calls and total.calls > calls[1]:
        return False, f"it takes {total.calls:,} calls, and the {whose}'s cap leaves {calls[1]:,}"
    if cost is None or not total.calls:
        return True, f"it stays within the {whose}'s cap"
    left = dollars(cost[1])
    if total.cost is not None and total.cost > cost[1]:
        return False, f"it costs about {dollars(total.cost)}, and the {whose}'s cap leaves {left}"
    if total.unpriced:
        return (
            None,
            f"what {', '.join(total.unpriced)} costs is not known, and the {whose} has a cap in dollars",
        )
    if total.cost_at_most is None or total.cost_at_most > cost[1]:
        return (
            None,
            f"the estimate stays within the {left} the {whose}'s cap leaves, the worst case does not",
        )
    return True, f"it stays within the {whose}'s cap"
