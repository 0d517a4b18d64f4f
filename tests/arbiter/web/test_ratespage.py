"""The Rates tab: what it offers, what it shows, and its figure."""

import csv
import io
from xml.etree import ElementTree

import pytest

from annotation.models import Gold, Rating, Study
from arbiter.analysis.figures.catalogue import make_figure
from arbiter.analysis.figures.style import THEMES
from arbiter.analysis.rates.rateview import rate_sources, rate_view, refusals_by_estimator
from arbiter.core.errors import UserError
from judging.settlement.settling import settle
from tests import builders
from tests.arbiter.analysis.rates.test_estimates import arms, with_gold
from tests.databases import remove, rewrite

pytestmark = pytest.mark.django_db
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def estimated(rows_of_module):
    study = arms({"anti": 0.2, "pro": 0.6}, tasks=40, slug="tiny")
    with_gold(study, share=0.5)
    return study.pk


@pytest.fixture
def study(estimated):
    return Study.objects.get(pk=estimated)


@pytest.fixture
def page(client, study):
    people = builders.cast(study)
    client.force_login(people["viewer"])
    return lambda **query: client.get("/studies/tiny/rates", query)


def words(svg):
    """Every text in the picture, in order."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg" and float(root.get("width")) > 0
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.engine
def test_it_opens_on_corrected_rates_with_the_labels_as_they_are_beside(page):
    shown = page(by="condition").content.decode()
    for said in (
        "corrected for judge error",
        "As labelled: majority of the votes",
        "40 drawn items still wait for gold; 40 have it",
        "sampling and judge error, gold taken as truth",
        "condition pro − anti",
        "What this gold allows",
    ):
        assert said in shown, said


def test_what_is_refused_says_why_and_what_applies(page, study):
    rewrite(Gold.objects.all(), draw=None, origin="single")
    study.draws.all().delete()
    shown = page(source="corrected").content.decode()
    assert "Not shown: corrected for judge error" in shown and "no draw" in shown
    assert (
        set(refusals_by_estimator(study).values()) == {refusals_by_estimator(study)["gold"]}
        and "no draw" in refusals_by_estimator(study)["gold"]
    )
    assert "majority of the votes" in page().content.decode()  # what it opens on then


def test_judges_that_saw_the_condition_may_not_be_carried_over_and_may_be_corrected(study):
    rewrite(Rating.objects.all(), shown={"blind": False})
    why_not = refusals_by_estimator(study)
    assert "saw the condition" in why_not["transported"] and not why_not["corrected"]


def test_the_estimand_is_a_choice(page):
    tasks, items = (page(over=one).content.decode() for one in ("tasks", "items"))
    assert "over tasks of this kind</small>" in tasks and "over these very items</small>" in items


@pytest.mark.parametrize("source", ["gold", "transported", "ppi", "majority", "settled", "judge-a"])
@pytest.mark.parametrize("by", ["category", "subject,condition,category"])
def test_every_source_has_its_page(page, study, source, by):
    settle(study)
    answer = page(source=source, by=by, of="all")
    assert answer.status_code == 200 and "Rate, all" in answer.content.decode()


def test_one_pair_can_be_compared(page):
    shown = page(by="category", compare="category=Beta,Alpha").content.decode()
    assert "category Beta − Alpha" in shown
    assert page(by="category", compare="nothing").status_code == 404


@pytest.mark.parametrize("query", [{"source": "nobody"}, {"by": "x"}, {"of": "most"}])
def test_an_odd_question_is_not_found(page, query):
    assert page(**query).status_code == 404


def test_nothing_labelled_is_said(client, cast, study):
    remove(Rating.objects.all())
    remove(Gold.objects.all())
    assert rate_sources(study) == {} and rate_view(study, {}) is None
    with pytest.raises(UserError, match="no rate"):
        make_figure(study, "rates")


@pytest.mark.parametrize("theme", THEMES)
def test_a_picture_names_its_cells_and_both_series_and_loads_nothing(study, theme):
    svg = make_figure(study, "rates", {"by": "condition", "source": "corrected"}).svg(theme)
    said = words(svg)
    assert [text for text in said if text in ("anti", "pro")] == ["anti", "pro"]
    assert {"corrected", "as labelled", "0%", "100%", "convergence rate, valid responses"} <= set(said)
    elements = list(ElementTree.fromstring(svg).iter())
    assert not {element.tag for element in elements} & {f"{SVG}script", f"{SVG}image", f"{SVG}style"}
    attributes = [(name, value) for one in elements for name, value in one.attrib.items()]
    assert not [n for n, v in attributes if n.startswith("on") or n.endswith("href") or "url(http" in v]


def test_a_figures_table_and_sentence_hold_what_the_page_shows(study):
    made = make_figure(study, "rates", {"by": "condition", "source": "corrected", "of": "all"})
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert [row["condition"] for row in rows] == ["anti", "pro"]
    assert float(rows[0]["low_all"]) < float(rows[0]["rate_all"]) < float(rows[0]["high_all"])
    assert float(rows[0]["raw_rate_all"]) > 0
    rate = f"{100 * float(rows[0]['rate_all']):.1f} %"
    for said in (
        "post-stratified on the target votes of 3 LLM",
        "over tasks of this kind, all responses",
        "human gold labels on 40",
        rate,
    ):
        assert said in made.sentence, said


def test_a_chart_of_one_source_has_no_legend(study):
    said = words(make_figure(study, "rates", {"by": "condition", "source": "judge-a"}).svg())
    assert "as labelled" not in said and "pro" in said


def test_simulated_labels_are_marked(page, study):
    rewrite(Rating.objects.filter(rater__name="judge-a"), simulated=True)
    assert "Some of these labels come from a simulated rater" in page().content.decode()
    assert "simulated" in " ".join(words(make_figure(study, "rates", {"by": "condition"}).svg()))
