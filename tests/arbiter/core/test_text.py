"""Text that a database refuses, there and back."""

import hashlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from arbiter.core.text import digest, original, storable, storable_json, storable_together

# Whatever may stand in a Python string, with more than its share of what our escapes are made of.
TEXT = st.text(
    st.one_of(
        st.sampled_from("\x00\ud800\udfff\\u05cd"),
        st.characters(codec=None),
        st.characters(categories=["Cs"]),
    )
)
TRAPS = ["\\u0000", "\\\\u0000\x00", "\\u005cu0000\x00", "\\ud800\ud800", "\ud83d\ude00", "\x00\\u005c"]


def with_traps(test):
    for trap in TRAPS:
        test = example(trap)(test)
    return test


@settings(deadline=None)
@with_traps
@given(TEXT)
def test_storing_loses_nothing(text):
    stored, escaped = storable(text)
    assert original(stored, escaped) == text
    assert "\x00" not in stored
    stored.encode()  # no lone surrogate is left
    assert escaped == (stored != text)


@settings(deadline=None)
@given(st.lists(TEXT, max_size=3))
@example(["\\u0000 in code", "\x00"])
def test_texts_with_one_flag_come_back_each_as_it_was(texts):
    stored, escaped = storable_together(texts)
    assert [original(text, escaped) for text in stored] == texts


@settings(deadline=None)
@given(st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3))
@example(["ab", "c"], ["a", "bc"])
@example([], [""])
def test_only_equal_parts_have_an_equal_digest(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_a_digest_is_the_same_on_any_machine():
    parts = b"\0\0\0\0\0\0\0\x02ab" + b"\0\0\0\0\0\0\0\x02\xc3\xbc"
    assert digest("ab", "ü") == hashlib.sha256(parts).hexdigest()


def test_json_that_some_database_refuses_is_told_apart():
    fine = [{"a": ["\\u0000", "\\\\u0000", "ü", 1.5, None, {"b": True}]}, "", 10**30]
    refused = [
        "a\x00",
        "\\\x00",
        {"\ud800": 1},
        [[{"a": "\udfff"}]],
        float("nan"),
        [float("inf")],
        {1, 2},
        {("a",): 1},
    ]
    assert all(storable_json(value) for value in fine)
    assert not any(storable_json(value) for value in refused)
