"""How much of a long test is run: a little in `make test`, all of it in `make test-slow`, which gives pytest
`--full`.

A test marked `slow` runs in the second alone. One marked `sized` runs in both and takes its numbers from
`size`; so does every test of Hypothesis, by its profile. One that looks at a page in each `scheme` and each
`size` looks at it light and wide, and dark and narrow, in the first, and in the other two ways in the second.

Hypothesis draws the same examples each time, so that a failure is the fault of what was changed. With
`--new-draws` it draws others, to look for what nobody thought of."""

import pytest
from hypothesis import HealthCheck, settings

FULL_EXAMPLES, EXAMPLES = 100, 20
_full = False


def choose(*, full: bool, new_draws: bool) -> None:
    """Say which it is and what is drawn, before any test's module is read."""
    global _full
    _full = full
    # How long a busy machine takes is no fault of what is tested.
    settings.register_profile(
        "arbiter",
        deadline=None,
        derandomize=not new_draws,
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=size(EXAMPLES, FULL_EXAMPLES),
    )
    settings.load_profile("arbiter")


def size(small: int, full: int) -> int:
    return full if _full else small


def belongs(item: pytest.Item) -> bool:
    """Tell whether a test is among those of this run."""
    slow = item.get_closest_marker("slow") is not None or is_second_look(item)
    if not _full:
        return not slow
    drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return slow or drawn or item.get_closest_marker("sized") is not None


def is_second_look(item: pytest.Item) -> bool:
    """Tell whether a test looks at a page light and narrow, or dark and wide."""
    parameters = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
    if not parameters or not {"scheme", "size"} <= parameters.keys():
        return False
    size = parameters["size"]
    wide = size == "wide" or (isinstance(size, dict) and size["width"] >= 1000)
    return bool(wide == (parameters["scheme"] == "dark"))
