"""Settling by the number of votes."""

from collections.abc import Sequence


def majority(counts: Sequence[int]) -> int | None:
    """Return the index of the label with most votes; None on a tie for first or without votes.

    This is strict plurality: 2 of 5 votes win over 1, 1 and 1. Half of the votes are not asked for, and a tie
    further down does not matter.

    counts: votes by label, shape (k,), each at least 0. ValueError on a negative count.
    """
    if any(count < 0 for count in counts):
        raise ValueError(f"votes cannot be negative: {list(counts)}")
    most = max(counts, default=0)
    leaders = [index for index, count in enumerate(counts) if count == most]
    return leaders[0] if most > 0 and len(leaders) == 1 else None
