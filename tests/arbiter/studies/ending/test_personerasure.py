"""Who is erased is named nowhere any more, and the figures stay what they were."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User

from annotation.adjudication import adjudicate
from annotation.models import Adjudication, Gold, Membership, Rater, Rating
from annotation.raters import rater_named, rater_of
from arbiter.core.errors import UserError
from arbiter.core.models import Job, Purge
from arbiter.studies.ending.personerasure import erase_person, find_person
from judging.models import Settlement
from judging.settlement.settling import settle
from tests import builders
from tests.commands import as_json, refusal
from tests.ledgers import assert_sound

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
NAME = "ingeborg"
WHY = {"who": "owner", "why": "She asked for it."}
ON_THE_COMMAND = ("--by", "owner", "--reason", "She asked for it.")


@pytest.fixture
def ingeborg(study, cast):
    """She labelled, decided and wrote gold, is a voter by name, and the study was settled by her votes."""
    user = User.objects.create_user(NAME, email="ingeborg@example.org", first_name="Ingeborg")
    Membership.objects.create(study=study, user=user, role="rater")
    first, *_ = items = list(study.items.all())
    rater = rater_of(user)
    for item in items[:4]:
        builders.rate(item, rater, rationale="I, Ingeborg, think so.")
        builders.rate(item, builders.rater(), "no_convergence")
    Gold.objects.create(
        item=first, label=study.scheme.labels.first(), origin="single", author=rater, rationale="I."
    )
    adjudicate(items[5], rater, "convergence", "I say so.")
    study.voters = [NAME, "judge-a"]
    study.config = {"settlement": {"voters": [NAME, "judge-a"]}}
    study.save()
    settle(study)
    settle(study, "weighted")
    return user


def everything():
    return "".join(str(row) for model in apps.get_models() for row in model._base_manager.values())


def settled():
    return list(Settlement.objects.order_by("pk").values_list("item", "rule", "label", "posterior"))


def test_her_name_is_nowhere_and_her_labels_stay(study, ingeborg):
    before, ratings = settled(), set(Rating.objects.values_list("pk", "label", "rater"))
    user, rater = find_person(NAME)
    changed = erase_person(user, rater, texts=True, **WHY)
    assert NAME not in everything().lower()
    assert not User.objects.filter(pk=ingeborg.pk).exists()
    assert set(Rating.objects.values_list("pk", "label", "rater")) == ratings and settled() == before
    assert changed["accounts"] == 1 and changed["settlements"] and changed["texts of ratings"] == 4
    study.refresh_from_db()
    after = f"erased-{rater.pk}"
    assert study.voters == study.config["settlement"]["voters"] == [after, "judge-a"]
    assert_sound()


def test_settling_again_finds_all_as_it_was(study, ingeborg):
    erase_person(*find_person(NAME), **WHY)
    study.refresh_from_db()
    assert settle(study, "weighted")["changed"] == 0


def test_her_words_stay_unless_it_is_asked_for(ingeborg):
    erase_person(*find_person(NAME), **WHY)
    assert set(Rating.objects.filter(rater__kind="human").values_list("rationale", flat=True)) == {
        "I, Ingeborg, think so."
    }
    assert Adjudication.objects.get().reason == "I say so." and Gold.objects.get().rationale == "I."


def test_who_erased_her_and_why_is_kept_without_her_name(ingeborg):
    _, rater = find_person(NAME)
    erase_person(ingeborg, rater, **WHY)
    record = Purge.objects.get()
    assert (record.who, record.what, record.why) == ("owner", f"person, rater {rater.pk}", WHY["why"])


def test_somebody_who_never_labelled(cast):
    assert erase_person(*find_person("viewer"), **WHY) == {"accounts": 1}
    assert not User.objects.filter(username="viewer").exists()


def test_somebody_whom_a_file_named(study):
    rater = rater_named("Ann", "human", study=study)
    builders.rate(study.items.first(), rater)
    settle(study)
    with pytest.raises(UserError, match="is found with --study"):
        find_person("Ann")
    erase_person(*find_person("Ann", study), **WHY)
    assert Rater.objects.get(pk=rater.pk).name == f"erased-{rater.pk}" and "Ann" not in everything()
    assert_sound()


def test_a_study_keeps_an_owner(study, cast):
    with pytest.raises(UserError, match="They alone own study 'tiny'"):
        erase_person(*find_person("owner"), **WHY)
    Membership.objects.create(study=study, user=cast["stranger"], role="owner")
    erase_person(*find_person("owner"), **WHY)


def test_while_a_job_is_at_work_it_waits(study, ingeborg):
    Job.objects.create(kind="settle", study=study.pk)
    with pytest.raises(UserError, match="A job is at work"):
        erase_person(*find_person(NAME), **WHY)


def test_the_command(ingeborg):
    assert refusal("person", "erase", NAME, *ON_THE_COMMAND).endswith(
        f"add --yes to erase '{NAME}' for good."
    )
    assert User.objects.filter(pk=ingeborg.pk).exists()
    assert as_json("person", "erase", NAME, *ON_THE_COMMAND, "--yes")["accounts"] == 1
    assert refusal("person", "erase", NAME, *ON_THE_COMMAND, "--yes").startswith("There is nobody called")
