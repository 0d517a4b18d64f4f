"""The Judges tab: what is told, what is marked, and what its owner does there."""

import pytest

from annotation.models import Rater
from judging.models import Verdict
from judging.votes.goldsplit import looks, split_gold, split_of
from tests import builders
from tests.judging.calibrated import golden, judged, labels, truth_of
from tests.judging.helpers import endpoint, judge
from tests.judging.rows import verdict

pytestmark = pytest.mark.django_db
HOME = "/studies/tiny/judges"


@pytest.fixture
def study(db):
    return builders.study(tasks=8, epochs=10)


@pytest.fixture
def signed_in(client, cast):
    client.force_login(cast["owner"])
    return client


def text(answer, status=200):
    assert answer.status_code == status, answer.status_code
    return " ".join(answer.content.decode().split())


def test_without_gold_the_tab_says_how_to_get_some(signed_in, study):
    judged(study)
    said = text(signed_in.get(f"{HOME}/"))
    assert "There is no gold to hold judges against" in said and "judge-a" in said
    rater = Rater.objects.get(name="judge-a")
    assert "There is no gold to hold it against yet" in text(signed_in.get(f"{HOME}/{rater.pk}"))


def test_without_judges_it_says_so(signed_in, study):
    golden(study)
    assert "No judge has labelled anything here yet" in text(signed_in.get(f"{HOME}/"))


def test_judges_side_by_side(signed_in, study):
    golden(study)
    judged(study, simulated=True)
    judged(study, "judge-b", 3)
    said = text(signed_in.get(f"{HOME}/"))
    assert said.count("all gold</span>") == 2 and "simulated" in said and "The gold is not split" in said
    assert 'href="/studies/tiny/agreement"' in said and 'aria-current="page">Judges' in said


def test_a_judges_page_tells_everything(signed_in, study, cast):
    golden(study)
    labels(study, builders.human(cast["ann"]), truth_of)
    rater = judged(study, confidence=0.9, confidence_scale="probability")
    said = text(signed_in.get(f"{HOME}/{rater.pk}"))
    for part in (
        "On all gold",
        "By category",
        "Brier",
        "May it stand in",
        "Where it errs",
        "False alarm",
        "Humans err too",
    ):
        assert part in said
    assert "How often humans err is not known" in said and "3 are needed" in said
    assert "/figures/judge-matrix.svg" in said and "Its labels were imported" in said


@pytest.mark.parametrize("name", ["judges", "judge-matrix", "judge-labels", "judge-reliability"])
@pytest.mark.parametrize("extension", ["svg", "csv", "txt"])
def test_figures_are_files_too(signed_in, study, name, extension):
    golden(study)
    rater = judged(study, confidence=0.9, confidence_scale="probability", simulated=True)
    answer = signed_in.get(f"/studies/tiny/figures/{name}.{extension}?judge={rater.pk}&part=all")
    assert answer.status_code == 200 and answer.content
    if extension == "txt" and name != "judges":
        assert "judge-a (simulated)" in answer.content.decode()


@pytest.mark.parametrize(
    "query", ["judge=x&part=all", "judge=99999&part=all", "judge={pk}&part=sealed", "judge={pk}"]
)
def test_no_figure_of_what_may_not_be_seen(signed_in, study, query):
    golden(study)
    rater = judged(study)
    split_gold(study, seed=1)
    address = f"/studies/tiny/figures/judge-matrix.svg?{query.format(pk=rater.pk)}"
    assert signed_in.get(address).status_code == 404


def test_a_person_has_no_judges_page(signed_in, study, cast):
    ann = builders.human(cast["ann"])
    labels(study, ann, truth_of)
    other = builders.rater("elsewhere")
    for pk in (ann.pk, other.pk, 10**9):
        assert signed_in.get(f"{HOME}/{pk}").status_code == 404
        assert signed_in.post(f"{HOME}/{pk}/look", {"reason": "x"}).status_code == 404


def test_the_gold_is_split_and_looked_at(signed_in, study):
    golden(study)
    rater = judged(study)
    signed_in.post(f"{HOME}/split", {"share": "0.25", "seed": "4"})
    assert (split_of(study).share, split_of(study).seed) == (0.25, 4)
    said = text(signed_in.get(f"{HOME}/"))
    assert "tuning gold, in-sample" in said and "sealed gold" not in said and "60" in said
    again = text(signed_in.post(f"{HOME}/split", {"share": "0.5", "seed": "1"}), 422)
    assert "is split only once" in again
    page = text(signed_in.get(f"{HOME}/{rater.pk}"))
    assert "in-sample" in page and "Nobody has looked yet" in page and "On the sealed gold" not in page
    refused = text(signed_in.post(f"{HOME}/{rater.pk}/look", {"reason": " "}), 422)
    assert "Say why you look" in refused and looks(study).total == 0
    seen = text(signed_in.post(f"{HOME}/{rater.pk}/look", {"reason": "It is <final>."}, follow=True))
    assert "On the sealed gold" in seen and "It is &lt;final&gt;." in seen and "looked at 1 time in" in seen
    assert "sealed gold" in text(signed_in.get(f"{HOME}/"))


@pytest.mark.parametrize("sent", [{"share": "much"}, {"share": "1.5"}, {"share": "nan"}, {"seed": "x"}])
def test_an_odd_split_is_refused(signed_in, study, sent):
    golden(study)
    said = text(signed_in.post(f"{HOME}/split", sent), 422)
    assert ("must be numbers" in said or "between 0 and 1" in said) and split_of(study) is None


def test_a_judge_is_asked_on_the_tuning_gold(signed_in, study):
    mine = judge(study, endpoint())
    golden(study)
    split_gold(study, seed=1)
    page = text(signed_in.get(f"{HOME}/{mine.judge.rater_id}"))
    assert "It has labelled nothing here yet" in page and "on the tuning gold alone" in page
    said = text(signed_in.post(f"{HOME}/{mine.judge.rater_id}/tune", follow=True))
    assert "40 verdicts on the tuning gold asked for" in said and Verdict.objects.count() == 40
    assert "asked on all of the tuning gold already" in text(
        signed_in.post(f"{HOME}/{mine.judge.rater_id}/tune", follow=True)
    )


def test_a_new_version_that_labelled_less_is_told(signed_in, study):
    """It stands in for the one before it wherever the judge votes."""
    golden(study)
    first = judged(study)
    second = Rater.objects.create(name="judge-a", version=2, kind="judge", definition="next")
    few = list(study.items.all()[:5])
    labels(study, second, lambda item: truth_of(item) if item in few else None)
    said = text(signed_in.get(f"{HOME}/{first.pk}"))
    assert "judge-a@2 has labelled 5 items, fewer than a version before it" in said
    assert "judge-a, then judge-a@2" in said and "Over the 5 of 80 items" in said
    assert "judge-a, then judge-a@2" in text(signed_in.get(f"{HOME}/{second.pk}"))


def test_beside_whichever_judge_is_asked_for(signed_in, study):
    golden(study)
    first, other = judged(study), judged(study, "judge-b", 3)
    assert (
        "then" not in text(signed_in.get(f"{HOME}/{first.pk}")).split('id="compare"')[1].split("</form>")[0]
    )
    said = text(signed_in.get(f"{HOME}/{first.pk}?with={other.pk}"))
    assert "judge-b, then judge-a" in said and "was wrong, is right" in said
    assert "judge-b, then judge-a" not in text(signed_in.get(f"{HOME}/{first.pk}?with=zzz"))


def test_a_template_is_edited_on_the_page(signed_in, study):
    """A study without a document of its judges says how else."""
    mine = judge(study, endpoint())
    sent = {"template": "{{ task }} {{ response }} {{ label_keys }}", "before": mine.judge.template_text}
    said = text(signed_in.post(f"{HOME}/{mine.judge.rater_id}/tune", sent), 422)
    assert "apply its file by command" in said


def test_a_verdict_that_failed_is_counted_on_the_page(signed_in, study):
    mine = judge(study, endpoint())
    golden(study)
    for number, item in enumerate(study.items.order_by("pk")[:30]):
        verdict(
            mine,
            item,
            "refused" if number % 10 == 0 else "done",
            **({} if number % 10 == 0 else {"rated": {"label": truth_of(item)}}),
        )
    said = text(signed_in.get(f"{HOME}/{mine.judge.rater_id}"))
    assert "3 refused" in said and "50 not asked" in said and "no verdict" in said
    assert f"verdicts/?judge={mine.pk}" in said


def test_a_viewer_can_not_change_anything(client, study, cast):
    golden(study)
    rater = judged(study)
    split_gold(study, seed=1)
    client.force_login(cast["viewer"])
    page = text(client.get(f"{HOME}/{rater.pk}"))
    assert "Look at the sealed part" not in page and "Make the next version" not in page
    assert client.post(f"{HOME}/{rater.pk}/look", {"reason": "curious"}).status_code == 403
    assert looks(study).total == 0


def test_answers_without_a_label_are_counted_by_form_with_the_last_example(signed_in, study):
    asked = judge(study, endpoint("http://127.0.0.1:1/v1"))
    items = list(study.items.order_by("pk"))
    for item, form, reason in zip(
        items,
        ["two_labels", "two_labels", "cut_json", "", "two_labels"],
        ["first", "second", "cut", "old", "last of them"],
        strict=False,
    ):
        row = verdict(asked, item, "unparsed", reason=reason)
        Verdict.objects.filter(pk=row.pk).update(form=form)
    verdict(asked, items[6], "failed", reason="not among them")
    said = text(signed_in.get(f"{HOME}/{asked.judge.rater_id}"))
    part = said[said.index('id="forms"') : said.index('id="versions"')]
    assert part.index("two labels") < part.index("JSON cut off") and "last of them" in part
    assert "read by an earlier version" in part and "old" in part
    assert "second" not in part and "not among them" not in part
    assert part.count("<tr>") == 1 + 3 and '<td class="number">3</td>' in part


def test_a_judge_whose_answers_were_all_read_has_no_such_table(signed_in, study):
    asked = judge(study, endpoint("http://127.0.0.1:1/v1"))
    assert 'id="forms"' not in text(signed_in.get(f"{HOME}/{asked.judge.rater_id}"))
