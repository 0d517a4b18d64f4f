"""The demo study: the built-in suite, its sample responses, simulated judges, some gold, four people."""

import json
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from annotation.access import make_link
from annotation.goldlabels import GoldCount, GoldEntry, write
from annotation.importing import import_responses
from annotation.models import Draw, Gold, Membership, Study
from annotation.raters import rater_of
from annotation.suiteaccess import grant
from arbiter.studies.setup.applying import apply
from arbiter.studies.setup.studyfile import read_study_file
from benchmark.endpoints import EndpointSpec
from benchmark.formats import read_suite
from benchmark.formats.records import ParsedCondition, ParsedResponse, ParsedRun, ParsedSubject
from benchmark.models import Endpoint, Suite
from benchmark.suites import BUILTIN, load_suite

FILE = Path(__file__).with_name("demo-study.yaml")
PEOPLE = {"owner": "owner", "adjudicator": "adjudicator", "rater-one": "rater", "rater-two": "rater"}
SUBJECT = ParsedSubject("written-samples", family="arbiter", training="written")
CONDITION = ParsedCondition("written", factors={"condition": "written"})
LINK_HOURS = 12


@transaction.atomic
def load_demo(simulator_url: str) -> Study:
    """Make the demo study where it is missing; else only tell it where the simulated provider is now."""
    demo = Study.objects.filter(slug="demo").first()
    if demo:
        Endpoint.objects.filter(name="simulated").update(base_url=simulator_url)
        return demo
    suite = load_suite("arbiter", read_suite(BUILTIN)).suite
    spec = read_study_file(FILE)
    import_responses(suite, spec.study, samples(suite))
    endpoint = EndpointSpec.model_validate(
        {**spec.endpoints[0].model_dump(mode="json"), "base_url": simulator_url}
    )
    study = apply(spec.model_copy(update={"endpoints": [endpoint]})).study
    write_gold(study)
    for name, role in PEOPLE.items():
        Membership.objects.create(study=study, user=_person(name), role=role)
    grant(suite.slug, _person("owner"))  # who may so make studies of their own in the browser
    return study


def samples(suite: Suite) -> Iterator[ParsedResponse]:
    """Yield the samples written with the suite's tasks; those reserved for training stay out."""
    run = ParsedRun()
    for task in suite.tasks.filter(training=False).order_by("id"):
        yield ParsedResponse(
            path=str(BUILTIN),
            line=0,
            subject=SUBJECT,
            condition=CONDITION,
            run=run,
            task_key=task.key,
            text=task.meta["sample"]["response"],
            finish_reason="stop",
        )


def write_gold(study: Study) -> None:
    """Write as gold, for those that the study's gold draw drew, the label each sample was written for."""
    draw = study.draws.get(purpose=Draw.Purpose.GOLD)
    label_of = dict(study.scheme.labels.values_list("key", "pk"))
    rows = draw.framed.drawn().order_by("number").values_list("item", "item__response__task__meta")
    wanted = [
        GoldEntry(
            item=item,
            label=label_of[meta["sample"]["label"]],
            origin=Gold.Origin.IMPORTED,
            draw=draw.pk,
            rationale=meta["sample"]["reason"],
            from_file=True,
        )
        for item, meta in rows
    ]
    write(wanted, lambda _: True, GoldCount())


def _person(name: str) -> User:
    """Return the user of that name, made where missing, without a password: people sign in by a link that
    works once, on this machine.
    """
    user, created = User.objects.get_or_create(username=name)
    if created:
        user.set_unusable_password()
        user.save()
    rater_of(user)
    return user


def address_of_run() -> str:
    """Return where `make run` serves this data, or last did: it leaves a word about it in the data folder."""
    try:
        return str(json.loads((settings.DATA / "running.lock").read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return "http://127.0.0.1:8000"


def sign_in_links(base_url: str) -> dict[str, str]:
    """Return a fresh link for each of the demo's people."""
    people = User.objects.filter(username__in=PEOPLE, memberships__study__slug="demo")
    return {
        user.username: f"{base_url}/sign-in/link/{make_link(user=user, hours=LINK_HOURS)}"
        for user in people.order_by("id")
    }
