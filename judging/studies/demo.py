"""The demo study: the built-in suite with its sample responses, simulated judges, gold for a part, four people."""

from collections.abc import Iterator
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction

from annotation.access import make_link
from annotation.golding import Wanted, Written, write
from annotation.importing import import_responses
from annotation.models import Draw, Gold, Membership, Study
from annotation.raters import rater_of
from benchmark.endpoints import EndpointSpec
from benchmark.formats import read_suite
from benchmark.formats.records import ParsedCondition, ParsedResponse, ParsedRun, ParsedSubject
from benchmark.models import Endpoint, Suite
from benchmark.suites import BUILTIN, load_suite
from judging.studies.applying import apply
from judging.studies.file import read_study_file

FILE = Path(__file__).with_name("demo-study.yaml")
PEOPLE = {"owner": "owner", "adjudicator": "adjudicator", "rater-one": "rater", "rater-two": "rater"}
SUBJECT = ParsedSubject("written-samples", family="arbiter", training="written")
CONDITION = ParsedCondition("written", factors={"condition": "written"})
LINK_HOURS = 12


@transaction.atomic
def load_demo(simulator_url: str) -> Study:
    """Make the demo study where it is missing; where it is there, only tell it where the simulated provider is now."""
    found = Study.objects.filter(slug="demo").first()
    if found:
        Endpoint.objects.filter(name="simulated").update(base_url=simulator_url)
        return found
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
    return study


def samples(suite: Suite) -> Iterator[ParsedResponse]:
    """The samples written with the suite's tasks; those reserved for training stay out."""
    run = ParsedRun()
    for task in suite.tasks.filter(training=False).order_by("id"):
        yield ParsedResponse(
            path=str(BUILTIN), line=0, subject=SUBJECT, condition=CONDITION, run=run, task_key=task.key,
            text=task.meta["sample"]["response"], finish_reason="stop",
        )  # fmt: skip


def write_gold(study: Study) -> None:
    """The label each sample was written for, as gold of those that the study's gold draw drew."""
    draw = study.draws.get(purpose=Draw.Purpose.GOLD)
    label_of = dict(study.scheme.labels.values_list("key", "pk"))
    rows = draw.framed.drawn().order_by("number").values_list("item", "item__response__task__meta")
    wanted = [
        Wanted(
            item=item, label=label_of[meta["sample"]["label"]], origin=Gold.Origin.IMPORTED, draw=draw.pk,
            rationale=meta["sample"]["reason"],
        )
        for item, meta in rows
    ]  # fmt: skip
    write(wanted, lambda _: True, Written())


def _person(name: str) -> User:
    """Nobody has a password: people sign in by a link that works once, on this machine."""
    user, made = User.objects.get_or_create(username=name)
    if made:
        user.set_unusable_password()
        user.save()
    rater_of(user)
    return user


def sign_in_links(base_url: str) -> dict[str, str]:
    """A fresh link for each of the demo's people."""
    people = User.objects.filter(username__in=PEOPLE, memberships__study__slug="demo")
    return {
        user.username: f"{base_url}/sign-in/link/{make_link(user=user, hours=LINK_HOURS)}"
        for user in people.order_by("id")
    }
