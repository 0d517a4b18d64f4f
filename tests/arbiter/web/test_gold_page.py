"""The gold page: figures by origin and draw, a list by pages, promotion and import by the owner."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.models import Gold
from annotation.raters import pseudonym
from arbiter.web.study import gold_page as page
from tests import builders

pytestmark = pytest.mark.django_db
URL = "/studies/tiny/gold/"


@pytest.fixture
def owner(client, cast):
    client.force_login(cast["owner"])
    return client


def text(answer):
    return " ".join(answer.content.decode().split())


def give(study, item, origin="imported", **fields):
    return Gold.objects.create(item=item, label=study.scheme.labels.first(), origin=origin, **fields)


def test_without_gold_the_page_says_how_to_get_some(owner, study, cast, client):
    assert "No item has gold yet" in text(owner.get(URL)) and "Promote" in text(owner.get(URL))
    client.force_login(cast["viewer"])
    told = text(client.get(URL))
    assert "No item has gold yet" in told and '<h2 id="promote' not in told


def test_how_it_came_and_what_it_covers(owner, study):
    draw = builders.draw(study, seed=1)
    first, second, *_ = study.items.order_by("pk")
    give(study, first, "consensus", draw=draw)
    give(study, second)
    context = owner.get(URL).context
    assert context["total"] == 2 and context["labels"][0] == ("Convergence", 2)
    assert [(row["origin"], row["draw"], row["stratum"], row["items"]) for row in context["ways"]] == [
        ("consensus", "main", "all", 1),
        ("imported", None, None, 1),
    ]
    assert context["coverage"] == [{"draw": "main", "stratum": "all", "drawn": 6, "gold": 2}]
    assert "not drawn by a design" in text(owner.get(URL))


def test_new_gold_is_counted_at_once(owner, study):
    for number, item in enumerate(study.items.all(), start=1):
        give(study, item)
        assert owner.get(URL).context["total"] == number


def test_items_come_in_pages_by_key(owner, study, monkeypatch):
    monkeypatch.setattr(page, "PAGE", 4)
    for item in study.items.all():
        give(study, item)
    first = owner.get(URL).context
    rest = owner.get(f"{URL}?after={first['following']}").context
    keys = [gold.item_id for context in (first, rest) for gold, *_ in context["page"]]
    assert keys == list(study.items.order_by("pk").values_list("pk", flat=True)) and rest["following"] is None
    assert "To the first" in text(owner.get(f"{URL}?after=99999999"))


def test_only_the_owner_sees_who_wrote_it(client, study, cast):
    eva = builders.rater("eva", "human")
    give(study, study.items.first(), "single", author=eva)
    for name, shown in [
        ("owner", "eva"),
        ("viewer", pseudonym(study, eva)),
        ("adjudicator", pseudonym(study, eva)),
    ]:
        client.force_login(cast[name])
        assert f"<td>{shown}</td>" in text(client.get(URL))


def test_what_is_withdrawn_is_no_gold(owner, study):
    give(study, study.items.first())
    give(study, study.items.first(), "withdrawn", revision=2)
    assert owner.get(URL).context["total"] == 0


def test_the_owner_promotes(owner, study):
    for name in ("ann", "ben"):
        builders.rate(study.items.first(), builders.rater(name, "human"))
    answer = owner.post(f"{URL}promote", {"source": "consensus", "min": "2"}, follow=True)
    assert "1 gold label written." in text(answer)
    answer = owner.post(f"{URL}promote", {"source": "consensus", "min": "2"}, follow=True)
    assert "0 gold labels written, 1 there already." in text(answer)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"source": "judges"}, "not from"),
        ({"source": "consensus", "min": "x"}, "whole number from 1"),
        ({"source": "consensus", "min": "0"}, "whole number from 1"),
    ],
)
def test_an_odd_promotion_is_refused(owner, study, sent, said):
    assert said in text(owner.post(f"{URL}promote", sent, follow=True))


def send(owner, content, name="gold.csv", draw=""):
    file = SimpleUploadedFile(name, content.encode())
    return text(owner.post(f"{URL}import", {"file": file, "draw": draw}, follow=True))


def test_the_owner_imports_a_file(owner, study):
    key = study.items.first().key
    assert "1 gold label written." in send(owner, f"item,label\n{key},convergence\n")
    assert "1 there already" in send(owner, f'{{"item": "{key}", "label": "convergence"}}', "again.jsonl")
    assert Gold.objects.get().origin == "imported"


def test_what_is_wrong_with_a_file_is_told_by_its_own_name(owner, study):
    told = send(owner, "item,label\nnowhere,convergence\n", "my gold.csv")
    assert "my gold.csv, line 2: expected an item of study" in told and "/tmp" not in told
    assert "a file ending in .csv or .jsonl" in send(owner, "x", "gold.xlsx")
    assert "no draw" in send(owner, "item,label\n", draw="other")
    assert "Choose a CSV or JSONL file" in text(owner.post(f"{URL}import", {}, follow=True))
    assert not Gold.objects.exists()


def test_a_file_too_large_is_for_the_command(owner, study, monkeypatch):
    monkeypatch.setattr(page, "LARGEST", 3)
    assert "manage.py gold import tiny" in send(owner, "item,label\n")
