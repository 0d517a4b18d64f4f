"""The demo study: made once, playable at once."""

from collections import Counter

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.test import Client

from annotation.models import (
    AccessLink,
    Assignment,
    Draw,
    DrawnItem,
    Gold,
    Item,
    Membership,
    Rater,
    Rating,
    Study,
)
from arbiter.analysis.rates.observedrates import observed_rates
from arbiter.simulator.running import running_simulator
from arbiter.studies.setup.demostudy import PEOPLE, load_demo, sign_in_links
from benchmark.models import Condition, Endpoint, Response, Run, SubjectModel, Suite, Task
from judging.models import Judge, StudyJudge
from judging.panel.judging_run import judge_study
from judging.settlement.settling import settle
from tests.arbiter.cli.commands import document

URL = "http://127.0.0.1:8001/v1"
EVERYTHING = [
    Suite,
    Task,
    SubjectModel,
    Condition,
    Run,
    Response,
    Endpoint,
    Study,
    Item,
    Draw,
    DrawnItem,
    Assignment,
    Rater,
    Rating,
    Gold,
    Membership,
    User,
    Judge,
    StudyJudge,
    AccessLink,
]


def everything():
    return {
        model.__name__: serializers.serialize("json", model.objects.order_by("pk")) for model in EVERYTHING
    }


@pytest.mark.django_db
def test_it_has_every_task_but_those_kept_for_training():
    study = load_demo(URL)
    assert study.items.count() == 72
    assert not study.items.filter(response__task__training=True).exists()
    assert study.items.filter(response__task__control=True).exists()
    assert Counter(sj.judge.rater.name for sj in study.judges.all()) == {
        "careful": 1,
        "lenient": 1,
        "noisy": 1,
    }
    assert 0 < Gold.objects.filter(item__study=study).count() < 72
    assert {m.user.username: m.role for m in study.memberships.all()} == PEOPLE
    assert Counter(PEOPLE.values())["rater"] == 2
    assert Assignment.objects.filter(item__study=study, state="open").count() >= 40


@pytest.mark.django_db
def test_loading_it_again_changes_nothing():
    load_demo(URL)
    before = everything()
    assert load_demo(URL).items.count() == 72
    assert everything() == before


@pytest.mark.django_db
def test_loading_it_again_tells_it_where_the_provider_is_now():
    load_demo(URL)
    load_demo("http://127.0.0.1:9999/v1")
    assert Endpoint.objects.get().base_url == "http://127.0.0.1:9999/v1"


@pytest.mark.django_db
def test_nobody_in_it_has_a_password():
    load_demo(URL)
    assert not any(user.has_usable_password() for user in User.objects.all())


@pytest.mark.django_db
def test_its_links_sign_each_person_in_once():
    load_demo(URL)
    links = sign_in_links("http://testserver")
    assert sorted(links) == sorted(PEOPLE)
    for name, link in links.items():
        first, second = Client(REMOTE_ADDR="127.0.0.1"), Client(REMOTE_ADDR="127.0.0.1")
        for visitor in (first, second):
            visitor.post(link.removeprefix("http://testserver"))
        assert User.objects.get(pk=first.session["_auth_user_id"]).username == name
        assert "_auth_user_id" not in second.session


@pytest.mark.django_db
def test_the_commands_for_it():
    assert document("demo", "--simulator-url", URL) == {"study": "demo", "items": 72}
    assert sorted(document("signinlinks", "--base-url", "http://127.0.0.1:8000/")) == sorted(PEOPLE)
    links = document("prepare", "--simulator-url", URL, "--base-url", "http://127.0.0.1:8123")
    assert all(link.startswith("http://127.0.0.1:8123/sign-in/link/") for link in links.values())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("left", "address"),
    [
        (None, "http://127.0.0.1:8000"),
        ("", "http://127.0.0.1:8000"),
        ('{"url": "http://127.0.0.1:8123"}', "http://127.0.0.1:8123"),
    ],
)
def test_links_lead_to_where_make_run_serves_this_data(settings, tmp_path, left, address):
    settings.DATA = tmp_path
    if left is not None:
        (tmp_path / "running.lock").write_text(left)
    load_demo(URL)
    assert all(link.startswith(f"{address}/sign-in/link/") for link in document("signinlinks").values())


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_its_judges_are_as_good_as_they_are_said_to_be():
    with running_simulator() as simulator:
        study = load_demo(simulator.base_url)
        result = judge_study(study)
    assert (result["verdicts"], result["parsed"]) == (216, 216)
    intended = {item.pk: item.response.task.meta["sample"]["label"] for item in study.items.all()}
    right = Counter(
        r.rater.name for r in Rating.objects.filter(item__study=study) if r.label.key == intended[r.item_id]
    )
    assert right["careful"] > right["lenient"] > right["noisy"]
    assert right["careful"] / 72 > 0.85
    assert settle(study)["settled"] > 60
    assert observed_rates(study, "settled", ["category"])["simulated"]
