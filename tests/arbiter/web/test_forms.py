"""What people send: every form with right values and wrong ones."""

import pytest
from django.http import Http404, QueryDict

from arbiter.web.forms import accounts, labels, owners, queries
from arbiter.web.forms.fields import pressed, status_of

LONG, NUL, SURROGATE = "9" * 40, "a\x00b", "a\ud800b"
NO_KEY = ["", "x", "-1", "1.5", "²", "1e3", " ", LONG, "9" * 5000, NUL, SURROGATE]


# Addresses: what can't be asked asks for nothing


@pytest.mark.parametrize(
    ("query", "field", "usual", "right"),
    [
        (queries.AfterQuery, "after", 0, [("0", 0), ("12", 12), ("٣", 3), ("9" * 18, 10**18 - 1)]),
        (queries.BeforeQuery, "before", 0, [("12", 12)]),
        (queries.ItemsQuery, "room", 0, [("99", 99), ("100", 0)]),
        (queries.DisputesQuery, "page", 1, [("3", 3), ("0", 1), ("1000000", 1)]),
        (queries.DisputesQuery, "category", 0, [("7", 7)]),
        (queries.JudgeQuery, "with", 0, [("7", 7)]),
        (queries.JudgingQuery, "still", 0, [("9999", 9999), ("10000", 0)]),
        (queries.TrainingQuery, "seen", 0, [("5", 5), ("100000", 0)]),
        (owners.RevocationForm, "invitation", 0, [("5", 5)]),
        (owners.AccessForm, "access", 0, [("5", 5)]),
        (labels.SeenQuery, "seen", None, [("0", 0), ("3", 3), ("100000000", None)]),
        (labels.TrainingAnswerForm, "number", 0, [("3", 3), ("100000", 0)]),
    ],
)
def test_a_number_in_an_address(query, field, usual, right):
    assert query.read({})[field] == usual
    for typed, meant in right:
        assert query.read({field: typed})[field] == meant
    for odd in NO_KEY:
        assert query.read({field: odd})[field] == usual, odd


@pytest.mark.parametrize(
    ("query", "field", "longest"),
    [
        (queries.ItemsQuery, "q", 200),
        (queries.ItemsQuery, "control", 200),
        (queries.DisputesQuery, "language", 20),
        (queries.OwnLabelsQuery, "search", 200),
        (queries.OwnLabelsQuery, "label", 60),
    ],
)
def test_a_text_in_an_address_is_cut(query, field, longest):
    assert query.read({})[field] == "" and query.read({field: "de"})[field] == "de"
    assert query.read({field: "x" * 999})[field] == "x" * longest
    for odd in (NUL, SURROGATE):
        assert query.read({field: odd})[field]


def test_a_search_is_for_texts_as_they_are_stored():
    stored = queries.OwnLabelsQuery.read({"search": f"  {NUL}{SURROGATE} "})["search"]
    assert "\x00" not in stored and "\ud800" not in stored and stored == stored.strip()


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (queries.ExportQuery, ["long", "names", "spreadsheet"]),
        (queries.FigureQuery, ["download", "narrow"]),
        (queries.PeopleQuery, ["figures"]),
        (queries.AgreementQuery, ["pairs"]),
        (queries.OwnLabelsQuery, ["flagged", "noted"]),
    ],
)
def test_a_tick_is_there_or_not_whatever_its_value(query, fields):
    for field in fields:
        assert not query.read(QueryDict(""))[field]
        for given in (f"{field}", f"{field}=", f"{field}=1", f"{field}=false"):
            assert query.read(QueryDict(given))[field]


@pytest.mark.parametrize(
    ("typed", "meant"), [("dark", "dark"), ("", "light"), ("x", "light"), (NUL, "light")]
)
def test_a_theme(typed, meant):
    assert queries.FigureQuery.read({"theme": typed})["theme"] == meant


@pytest.mark.parametrize("kind", ["x", NUL, SURROGATE, LONG])
def test_a_kind_or_a_state_that_there_is_not_is_not_found(kind):
    assert queries.DisputesQuery.read({"kind": "tie"})["kind"] == "tie"
    assert queries.VerdictsQuery.read({"state": "done"}, judges=[])["state"] == "done"
    for query, field, more in [
        (queries.DisputesQuery, "kind", {}),
        (queries.VerdictsQuery, "judge", {"judges": []}),
        (queries.VerdictsQuery, "state", {"judges": []}),
    ]:
        with pytest.raises(Http404):
            query.read({field: kind}, **more)


def test_the_button_that_was_pressed():
    assert pressed({"pause": "all", "x": "1"}, ["ask", "pause"]) == ("pause", "all")
    assert pressed({"ask": ""}, ["ask", "pause"]) == ("ask", "") and pressed({}, ["ask"]) == ("", "")


# Forms: each field, what it takes, what it means, what is said of anything else

WHOLE = ["x", "-1", "1.5", "²", LONG, NUL, SURROGATE]
NUMBER = ["x", "nan", "inf", "1e999", "1.2.3", NUL, SURROGATE]
PROMOTION = {"source": "consensus", "min": "2"}
SETTLING = {"rule": "model", "threshold": "90", "audit": "0"}
SPLIT = {"share": "0.5", "seed": "0"}
INVITATION = {"role": "rater", "days": "7"}
OFFERED = {"languages": ["de"], "categories": [("alpha", "Alpha")]}
FORMS = [
    (
        owners.PromotionForm,
        {},
        PROMOTION,
        "source",
        [("adjudication", "adjudication")],
        ["", "judges", NUL],
        "Gold can be|required",
    ),
    (
        owners.PromotionForm,
        {},
        PROMOTION,
        "min",
        [("1", 1), ("999", 999), ("", None)],
        ["0", "1000", *WHOLE],
        "whole number from 1",
    ),
    (owners.SettlingForm, {}, SETTLING, "rule", [("majority", "majority")], ["x", NUL], "no rule"),
    (
        owners.SettlingForm,
        {},
        SETTLING,
        "threshold",
        [("50", 0.5), (" 85,5 ", 0.855), ("", None)],
        ["49", "100", *NUMBER],
        "The threshold is a number of per cent",
    ),
    (
        owners.SettlingForm,
        {},
        SETTLING,
        "audit",
        [("0", 0), ("100", 1), ("", None)],
        ["-1", "101", *NUMBER],
        "The audit share is a number of per cent",
    ),
    (
        owners.SplitForm,
        {},
        SPLIT,
        "share",
        [("0.25", 0.25), ("0,25", 0.25)],
        ["", "1.5", "-1", *NUMBER],
        "between 0 and 1",
    ),
    (owners.SplitForm, {}, SPLIT, "seed", [("-4", -4), ("", None)], ["x", "0.5", LONG, NUL], "whole number"),
    (owners.InvitationForm, {}, INVITATION, "role", [("expert", "expert")], ["", "x", NUL], "Choose what"),
    (
        owners.InvitationForm,
        {},
        INVITATION,
        "days",
        [("1", 1), ("90", 90)],
        ["", "0", "91", *WHOLE],
        "1 to 90 days",
    ),
    (
        owners.LimitsForm,
        OFFERED,
        {},
        "cap",
        [("5", 5), (" 5 ", 5), ("", None)],
        ["0", "1000001", *WHOLE],
        "whole number from 1",
    ),
    (
        owners.LimitsForm,
        OFFERED,
        {},
        "language",
        [(["de"], ["de"]), ([], [])],
        [["fr"], [NUL]],
        "reload the page",
    ),
    (
        owners.LimitsForm,
        OFFERED,
        {},
        "category",
        [(["alpha"], ["alpha"])],
        [["beta"], ["Alpha"]],
        "reload the page",
    ),
    (
        owners.GoldFileForm,
        {"draws": ["main"]},
        {},
        "draw",
        [("main", "main"), ("", "")],
        ["x", NUL],
        "has no draw",
    ),
    (labels.ReferralForm, {}, {"back": "why"}, "extra", [("1", 1)], ["", "0", "99", *WHOLE], "more raters"),
    (
        accounts.AddressForm,
        {},
        {"password": "x"},
        "email",
        [("a@example.org", "a@example.org"), ("", "")],
        ["x", "a@b", NUL, "a" * 250 + "@example.org"],
        "email address|Null|254",
    ),
    (
        accounts.AddressForm,
        {},
        {"email": ""},
        "password",
        [(" x ", " x ")],
        ["", "x" * 1001],
        "required|1000",
    ),
    (
        queries.PlanForm,
        {},
        {},
        "width",
        [("10", 10), ("12,5", 12.5)],
        ["", "101", "-1", *NUMBER],
        "number of points",
    ),
    (
        queries.ExpectedForm,
        {},
        {},
        "rate",
        [("20", 0.2), ("", None)],
        ["101", "-1", *NUMBER],
        "number of per cent",
    ),
    (queries.ExpectedForm, {}, {}, "tasks", [("30", 30), ("", None)], ["1", *WHOLE], "whole number from 2"),
    (queries.ExpectedForm, {}, {}, "icc", [("0", 0), ("1", 1)], ["1.1", *NUMBER], "from 0 to 1"),
]


@pytest.mark.parametrize(
    ("form", "offered", "rest", "field", "right", "wrong", "said"),
    FORMS,
    ids=[f"{row[0].__name__}.{row[3]}" for row in FORMS],
)
def test_a_field(form, offered, rest, field, right, wrong, said):
    for typed, meant in right:
        sent = form({**rest, field: typed}, **offered)
        assert field not in sent.errors and sent.cleaned_data[field] == meant, (typed, sent.errors)
    for typed in wrong:
        sent = form({**rest, field: typed}, **offered)
        assert any(words in " ".join(sent.errors[field]) for words in said.split("|")), (typed, sent.errors)
        assert status_of(sent) == 422 and sent.fields[field].widget.attrs["autofocus"]


def test_what_was_typed_is_shown_even_if_it_is_no_number():
    field = str(owners.PromotionForm({"source": "consensus", "min": "two"})["min"])
    assert 'type="text"' in field and 'value="two"' in field and "aria-describedby" in field
    assert 'type="number"' in str(owners.PromotionForm()["min"])
