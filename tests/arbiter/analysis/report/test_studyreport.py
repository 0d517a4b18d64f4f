"""The report: one file that asks for nothing, says everything, and escapes what others wrote."""

import re
from html.parser import HTMLParser

import pytest
from django.core.cache import cache

from annotation.models import Gold, Study
from arbiter.analysis.report.sections import section_or_why, sentence
from arbiter.analysis.report.studyreport import PARTS, report_html, study_report, style_hash
from benchmark.models import Condition, Endpoint, SubjectModel
from judging.models import Reveal
from judging.settlement.auditing import draw_audit
from judging.settlement.settling import settle
from tests import builders
from tests.arbiter.cli.commands import document, refusal
from tests.databases import rewrite
from tests.judging.helpers import endpoint, judge
from tests.judging.planned import draw_gold, judged_study
from tests.judging.rows import attempt, verdict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("figures_kept")]
PAYLOAD = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7|add:7 }}</style>"""


class Reader(HTMLParser):
    """Tags with their attributes, and ids."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    handle_startendtag = handle_starttag


@pytest.fixture(scope="module")
def rows(rows_of_module):
    """Make a study with everything a report has to say."""
    study, truth = judged_study(tasks=20, epochs=3)
    draw_gold(study, truth, budget=50)
    ann = builders.rater("ann", "human")
    for item in study.items.all()[:12]:
        builders.rate(item, ann, "convergence" if truth[item.pk] else "no_convergence", active_seconds=40)
    asked = judge(study, endpoint(), "careful")
    for item, state, outcome in zip(
        study.items.all(), ("done", "unparsed", "failed"), ("answer", "answer", "timeout"), strict=False
    ):
        attempt(verdict(asked, item, state), outcome, cost=10**9)
    type(asked).objects.filter(pk=asked.pk).update(
        calls=3, prompt_tokens=30, completion_tokens=3, cost=3 * 10**9
    )
    settle(study)


@pytest.fixture(scope="module")
def text(rows):
    return report_html(Study.objects.get())


@pytest.fixture
def told(db, rows):
    return Study.objects.get()


def section(study, key):
    key, title, make = next(part for part in PARTS if part[0] == key)
    return section_or_why(key, title, lambda one: make(study, one))


@pytest.mark.engine
def test_every_section_has_something_to_say(told):
    sections = study_report(told).sections
    for one in sections:
        assert one.paragraphs or one.tables or one.figures or one.missing, one.key
    names = {table.title for one in sections for table in one.tables}
    assert {
        "Models",
        "Conditions",
        "Judges that were run",
        "Draws",
        "Gold",
        "Verdicts by outcome",
        "Calls by outcome",
    } <= names


def test_rates_stand_raw_beside_corrected_with_both_denominators(told):
    rates = section(told, "rates")
    table = rates.tables[0]
    assert [heading for heading, _ in table.columns][2:6] == ["Rate, valid", "95 %", "Rate, all", "95 %"]
    words = [row[1] for row in table.rows]
    assert {
        "judge-a, as the judge says",
        "corrected, post-stratified",
        "gold alone, design-weighted",
        "settled labels",
    } <= set(words)
    corrected = next(row for row in table.rows if row[1] == "corrected, post-stratified")
    assert corrected[2].endswith("%") and "–" in corrected[3] and corrected[8] != "–"
    assert table.rows[0][0] == "model-a, baseline" and table.rows[1][0] == ""
    assert any("Differences" in one.title for one in rates.tables)


def test_an_estimator_the_design_does_not_allow_is_named_with_the_reason(told):
    rewrite(Gold.objects.all(), draw=None)
    told.draws.all().delete()
    cache.clear()
    rates = section(told, "rates")
    assert any(
        one.startswith("Corrected, post-stratified: refused.") and "no draw" in one for one in rates.missing
    )
    assert any("as the judge says" in row[1] for row in rates.tables[0].rows)


def test_failures_are_counted_as_outcomes(told):
    verdicts, calls = section(told, "failures").tables
    assert verdicts.rows == [["careful", "1", "1", "0", "1", "66.7\u00a0%"]]
    assert ["careful", "timeout", "1"] in calls.rows


def test_draws_are_listed_with_what_they_are_for(told):
    (draws,) = [table for table in section(told, "humans").tables if table.title == "Draws"]
    assert draws.headings[:3] == ["Draw", "Purpose", "Stratum"]


def test_looks_at_the_sealed_part_are_listed(told):
    from judging.votes.goldsplit import split_gold

    split = split_gold(told, 5)
    Reveal.objects.create(split=split, rater=builders.rater("judge-a"), reason="The template is final.")
    cache.clear()
    one = section(told, "humans")
    assert any("seed 5" in text for text in one.paragraphs)
    (looks,) = [table for table in one.tables if table.title.startswith("Looks")]
    assert looks.rows[0][1:] == ["judge-a", "The template is final."]


def test_an_empty_study_has_a_report_too(db):
    text = report_html(builders.study("empty"))
    assert "Nothing is settled yet." in text and "No judge has labelled here." in text


def test_it_asks_for_nothing(text):
    for tag, attributes in Reader(text).tags:
        if tag == "link":  # else a browser asks for an icon by itself
            assert attributes == {"rel": "icon", "href": "data:,"}
            continue
        assert tag not in ("script", "img", "iframe", "object", "image", "base", "use")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href"):
                assert value.startswith("#")
            assert name != "style"
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    outside = re.findall(r"https?://[^\s\"'<]+", text)
    assert {one for one in outside if not one.startswith("http://www.w3.org/")} == set()
    # And what it refers to within itself is there, once.
    ids = Reader(text).ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)\"]+)", text)) <= set(ids)
    assert {
        value[1:]
        for _, fields in Reader(text).tags
        if (value := fields.get("href", "")) != "data:," and value
    } <= set(ids)


def test_what_others_wrote_is_escaped_everywhere(told):
    Study.objects.update(title=PAYLOAD, description=PAYLOAD)
    SubjectModel.objects.filter(name="model-a").update(name=PAYLOAD, family=PAYLOAD[:100])
    Condition.objects.update(
        name=PAYLOAD[:120], factors={PAYLOAD: PAYLOAD}, system_prompt=PAYLOAD, prompt_suffix=PAYLOAD
    )
    Endpoint.objects.update(name="at")
    builders.Label.objects.update(title=PAYLOAD[:100], definition=PAYLOAD)
    study = Study.objects.get()
    study.draws.get().strata.filter(name="split").update(rule={"subjects": [PAYLOAD]})
    cache.clear()
    text = report_html(study)
    assert "alert(1)" in text
    tags = Reader(text).tags
    assert not [tag for tag, _ in tags if tag in ("script", "img")]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in tags].count("style") == 1 and "{{ 7|add:7 }}" in text


def test_people_are_under_pseudonyms_and_simulated_labels_are_said(told, text):
    assert "simulated raters" not in text
    assert not re.search(r"(?<![\w-])ann(?![\w-])", text)
    assert "rater-" in text
    builders.rate(told.items.first(), builders.rater("sim"), simulated=True)
    assert "simulated raters" in report_html(told)


def test_the_page_allows_its_own_style_and_nothing_else(client, told):
    client.force_login(builders.cast(told)["viewer"])
    answer = client.get("/studies/planned/report")
    policy = answer.headers["Content-Security-Policy"]
    assert style_hash() in policy and "unsafe" not in policy and "default-src 'none'" in policy
    kept = client.get("/studies/planned/report?download=1")
    assert kept.headers["Content-Disposition"] == 'attachment; filename="planned-report.html"'


def test_the_command_writes_one_file(told, tmp_path):
    path = tmp_path / "out.html"
    printed = document("report", "planned", path)
    assert printed["bytes"] == path.stat().st_size > 10_000
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]
    assert "can't be written" in refusal("report", "planned", tmp_path / "nowhere" / "out.html")


def test_a_sentence_has_a_capital_and_a_stop():
    assert [sentence(one) for one in ("so it is", "So it is.", "is it  so?")] == [
        "So it is.",
        "So it is.",
        "Is it so?",
    ]


def test_each_judge_against_gold_with_its_human_ceiling(told):
    one = section(told, "gold")
    assert [figure.title for figure in one.figures][1:] and not one.missing
    (ceiling,) = one.tables
    assert [row[0] for row in ceiling.rows] == ["careful", "judge-a", "judge-b", "judge-c"]
    assert all(row[3].startswith("Too little data") and row[4] == "–" for row in ceiling.rows)


def test_what_an_audit_found_is_said(told):
    assert not any("audit" in text for text in section(told, "settlement").paragraphs)
    draw_audit(told, told.settlement_versions.latest("number"), 0.5)
    said = " ".join(section(told, "settlement").paragraphs)
    assert "An audit drew" in said and "It has no error rate: nobody has labelled any of it yet." in said


def test_every_bias_is_said_in_words(told):
    (tests,) = section(told, "biases").tables
    assert len(tests.rows) > 5
    assert all(row[2][:1].isupper() or row[2].startswith("judge-") for row in tests.rows)
    assert any("Too little data" in row[2] and row[3:] == ["–", "–", "–"] for row in tests.rows)
