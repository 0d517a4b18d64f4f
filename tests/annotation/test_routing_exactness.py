"""Many raters at once, who think too long, vanish, come back late and send twice: the counts still come out
exactly."""

import random
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Assignment, Item, Rating, Skip
from annotation.routing import serve, skip
from annotation.submitting import Submission, submit
from tests import builders
from tests.annotation.draining import account, drain
from tests.ledgers import assert_sound
from tests.together import expect_no_errors, together

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
LEASE = 0.02  # seconds


class RandomRater:
    """A rater who does at random what raters do. `kept_back` holds labels that will be sent late."""

    def __init__(self, study, name, seed):
        self.study, self.rater = study, builders.rater(name, "human")
        self.random = random.Random(f"{seed} {name}")
        self.sent = {}  # submission key to rating
        self.kept_back = []

    def work(self):
        idle = 0
        while idle < 3:
            served = serve(builders.desk(self.study, self.rater), self.random.choice([1, 1, 2, 3]))
            if served:
                idle = 0
                self.handle(served[-1])
            else:
                idle += 1
                self.send_one_late()
                time.sleep(LEASE)

    def handle(self, serving):
        chance = self.random.random()
        label = self.random.choice(LABELS)
        sent = Submission(key=f"{serving.key}-{self.random.getrandbits(60):016x}", label=label)
        if any(serving == later for later, _ in self.kept_back):
            self.send_one_late()
        elif chance < 0.1:
            skip(serving, "I know this one.")
        elif chance < 0.3:
            self.kept_back.append((serving, sent))
            time.sleep(1.5 * LEASE)  # away; somebody may take the place
        else:
            if chance < 0.5:
                time.sleep(1.2 * LEASE)  # thought for too long
            self.send(serving, sent)
            if chance > 0.9:
                self.send(serving, sent)

    def send(self, serving, sent):
        rating = submit(serving, sent)
        assert self.sent.setdefault(sent.key, rating) == rating
        assert (rating.item, rating.rater) == (serving.item, self.rater)

    def send_one_late(self):
        if self.kept_back:
            self.send(*self.kept_back.pop(0))

    def finish(self):
        """Send what was kept back, and then label what is left, without a pause."""
        while self.kept_back:
            self.send_one_late()
        while serving := builders.take(self.study, self.rater):
            self.send(serving, Submission(key=f"{serving.key}-last", label=LABELS[0]))


@pytest.mark.parametrize(("raters", "per_item", "seed"), [(6, 2, 1), (6, 1, 2), (5, 3, 3), (3, 3, 4)])
def test_no_item_gets_more_raters_than_it_needs_and_no_label_is_lost(settings, raters, per_item, seed):
    study = builders.study(tasks=3, epochs=4)
    builders.draw(study, per_item=per_item, seed=seed)
    settings.ASSIGNMENT_LEASE_MINUTES = LEASE / 60
    people = [RandomRater(study, f"person-{number}", seed) for number in range(raters)]
    expect_no_errors(together(*[person.work for person in people]))
    settings.ASSIGNMENT_LEASE_MINUTES = 60
    expect_no_errors(together(*[person.finish for person in people]))
    time.sleep(LEASE)
    expect_no_errors(together(*[person.finish for person in people]))
    assert_exact(study, people, per_item)


def assert_exact(study, people, per_item):
    sent = {key: rating.pk for person in people for key, rating in person.sent.items()}
    assert dict(Rating.objects.values_list("submission", "pk")) == sent
    votes = Rating.objects.votes()
    counted = Counter(votes.values_list("item", "rater"))
    assert set(counted.values()) == {1}
    assert max(Counter(item for item, _ in counted).values()) <= per_item
    slots = Assignment.objects.filter(state="done").values_list("item", "rater")
    assert sorted(slots) == sorted(counted)
    current = set(Rating.objects.newest().values_list("item", "rater"))
    surplus = set(Rating.objects.newest().filter(surplus=True).values_list("item", "rater"))
    assert current - surplus == set(counted)
    assert_drained(study, people)


def assert_drained(study, people):
    """Check that a slot is open only where everybody has labelled or skipped the item."""
    unfinished = Item.objects.filter(assignments__state__in=["open", "leased"]).distinct()
    for item in unfinished:
        rated = set(Rating.objects.filter(item=item).values_list("rater", flat=True))
        skipped = set(Skip.objects.filter(item=item).values_list("rater", flat=True))
        assert rated | skipped == {person.rater.pk for person in people}


def test_of_late_labels_that_come_at_once_as_many_count_as_there_are_places(settings):
    """Three hold places whose leases ran out, three have lost theirs; all look at the same three places."""
    study = builders.study(tasks=2, epochs=8)
    builders.draw(study, per_item=3)
    settings.ASSIGNMENT_LEASE_MINUTES = -1
    people = [builders.rater(f"person-{number}", "human") for number in range(6)]
    for item in study.items.all():
        for person in people:
            study.servings.create(item=item, rater=person)
        for place, person in zip(item.assignments.order_by("-slot"), people, strict=False):
            lapsed = timezone.now() - timedelta(minutes=1)
            item.assignments.filter(pk=place.pk).update(rater=person, state="leased", leased_until=lapsed)

    for item in study.items.all():
        late = [
            lambda serving=serving, label=label: builders.label(serving, label)
            for serving, label in zip(item.servings.order_by("rater"), LABELS + LABELS, strict=False)
        ]
        expect_no_errors(together(*late))
    assert Rating.objects.count() == 16 * 6
    for item in study.items.all():
        counted = {rating.rater_id for rating in item.ratings.filter(surplus=False)}
        assert len(counted) == item.human_votes == 3
        assert counted == set(item.assignments.filter(state="done").values_list("rater", flat=True))


def test_one_who_is_late_in_one_window_and_given_the_item_anew_in_another_has_labelled_it_once():
    study = builders.study(tasks=1, epochs=12)
    builders.draw(study, per_item=1)
    ann = builders.rater("ann", "human")
    for item in study.items.all():
        study.servings.create(item=item, rater=ann)

    def send():
        for serving in study.servings.order_by("-item__drawn__number"):
            builders.label(serving)

    def ask():
        for _ in range(12):
            serve(builders.desk(study, ann), 6)

    expect_no_errors(together(send, ask, ask))
    assert Rating.objects.votes().count() == Rating.objects.count() == 12
    assert not Assignment.objects.exclude(state="done").exists()


@pytest.mark.slow
def test_of_processes_with_raters_who_vanish_and_one_that_is_killed_every_label_counts_as_it_should(tmp_path):
    study = builders.study(tasks=10, epochs=10)
    builders.draw(study, per_item=3, seed=1)
    drain(study, tmp_path)
    counts = account(study, tmp_path, 3)
    assert counts.wrong() == {}
    assert_sound()
    # It was no easy run.
    assert counts.labels > 300 and counts.surplus and counts.revisions and counts.refused
