"""Raters at work in a process of their own: they think for too long, vanish, come back late, send twice, skip
and change their mind.

`python -m tests.annotation.draining STUDY FOLDER PROCESS` is one process with several raters, each a thread.
It writes to a file what it sends, before it sends it, and each receipt; one that takes the place of a killed
one first sends what had none, as the page's outbox does. `drain` runs all of it, and `account` says what
became of every item and every label.
"""

import json
import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

from django.db import OperationalError, connections

from annotation.desk import Desk
from annotation.enrolments import enrolment_of
from annotation.models import Assignment, Enrolment, Item, Rater, Rating, Serving, Skip, Study
from annotation.raterprogress import progress
from annotation.routing import AHEAD, serve, skip
from annotation.submitting import Conflict, Submission, answer_in, last_answered, submit
from tests.processes import start
from tests.waiting import wait_until

LABELS = ["convergence", "no_convergence", "safety_refusal", "nonsensical"]
PROCESSES, RATERS = 8, 4
LEASE = 1.0  # seconds
IDLE = 8  # looks in vain after which a rater goes home


def names() -> list[str]:
    return [f"person-{process}-{number}" for process in range(PROCESSES) for number in range(RATERS)]


# A process


class Book:
    """What a process sent and got receipts for, on disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()

    def write(self, **line: Any) -> None:
        with self.lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def without_answer(self) -> list[dict[str, Any]]:
        sent = {line["key"]: line for line in self.lines() if line["what"] == "sent"}
        for line in self.lines():
            if line["what"] in ("receipt", "refused"):
                sent.pop(line["key"], None)
        return list(sent.values())


class DrainingRater:
    """One rater. `kept_back` holds labels that will be sent late. Who vanishes does so with their hands
    full."""

    def __init__(self, study: Study, name: str, book: Book, vanishes: bool = False) -> None:
        self.study, self.book = study, book
        self.rater = Rater.objects.get(name=name)
        self.random = random.Random(f"{name} {len(book.lines())}")
        self.left = self.random.randint(3, 20) if vanishes else None
        self.kept_back: list[tuple[Serving, Submission]] = []

    def work(self) -> None:
        idle = 0
        while idle < IDLE and self.left != 0:
            try:
                served = serve(self.desk(), self.random.randint(1, AHEAD))
                for serving in served[: self.random.randint(1, 3)]:
                    self.handle(serving)
            except OperationalError as error:
                self.wait_out(error)
                continue
            idle = 0 if served else idle + 1
            if not served:
                time.sleep(LEASE / 4)
            if self.kept_back and (not served or self.random.random() < 0.2):
                self.send(*self.kept_back.pop(0))
            self.left = self.left - 1 if self.left else self.left
        if self.left == 0:
            serve(self.desk(), AHEAD)
            return
        while self.kept_back:
            self.send(*self.kept_back.pop())

    def desk(self) -> Desk:
        return Desk(self.study, self.rater, enrolment_of(self.study, self.rater))

    def handle(self, serving: Serving) -> None:
        chance = self.random.random()
        if any(serving.pk == later.pk for later, _ in self.kept_back):
            return  # it is theirs again, and the label is on its way
        sent = self.submission(base=serving.revision)
        if chance < 0.06:
            skip(serving, "I know this one.")
        elif chance < 0.2:
            self.kept_back.append((serving, sent))
        elif chance < 0.23:
            time.sleep(1.2 * LEASE)  # thought for too long; somebody may have the place
            self.send(serving, sent)
        elif chance < 0.27:
            self.send_from_two_windows(serving, sent)
        else:
            self.send(serving, sent)
            if chance > 0.95:
                self.send(serving, sent)
            elif chance > 0.88:
                self.change_mind()
        if chance > 0.9:
            progress(self.desk())

    def submission(self, base: int) -> Submission:
        return Submission(key=str(uuid.uuid4()), label=self.random.choice(LABELS), base=base)

    def change_mind(self) -> None:
        """Reopen the last label, as `u` does on the page, and send it again as a revision."""
        last = last_answered(self.study, self.rater)
        assert last
        assert answer_in(last)["label"] in LABELS
        self.send(last, self.submission(last.revision))

    def send_from_two_windows(self, serving: Serving, sent: Submission) -> None:
        """Send the same label at the same moment, or another label from the other window, of which one is
        refused."""
        other = sent if self.random.random() < 0.5 else self.submission(sent.base)
        threads = [
            threading.Thread(target=closing(self.send), args=(serving, each)) for each in (sent, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def send(self, serving: Serving, sent: Submission) -> None:
        self.book.write(what="sent", key=sent.key, serving=serving.pk, submission=asdict(sent))
        while True:
            try:
                rating = submit(Serving.objects.get(pk=serving.pk), sent)
            except Conflict:
                return self.book.write(what="refused", key=sent.key)
            except OperationalError as error:
                self.wait_out(error)
            else:
                return self.book.write(what="receipt", key=sent.key, rating=rating.pk)

    def wait_out(self, error: OperationalError) -> None:
        """Note that SQLite did not let the writer in, and wait a moment. It lets writers in by chance: among
        32 on a slow machine one may wait for longer than its patience. The page is told of trouble then, and
        asks again."""
        if "database is locked" not in str(error):
            raise error
        self.book.write(what="busy", key="")
        time.sleep(self.random.random())

    def send_again(self, line: dict[str, Any]) -> None:
        self.send(Serving.objects.get(pk=line["serving"]), Submission(**line["submission"]))


def closing(call: Callable[..., None]) -> Callable[..., None]:
    def called(*given: Any) -> None:
        try:
            call(*given)
        finally:
            connections.close_all()

    return called


def work(slug: str, folder: Path, process: int) -> int:
    study = Study.objects.get(slug=slug)
    book = Book(folder / f"{process}.jsonl")
    people = [
        DrainingRater(study, f"person-{process}-{number}", book, vanishes=number == 0)
        for number in range(RATERS)
    ]
    for line in book.without_answer():
        people[0].send_again(line)
    ready(folder)
    failed = []
    threading.excepthook = lambda args: (failed.append(args), sys.__excepthook__(*args[:3]))[0]  # type: ignore[assignment]
    threads = [threading.Thread(target=closing(person.work)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


def ready(folder: Path) -> None:
    """Say so, and wait for the others, who take a second to start."""
    (folder / f"{os.getpid()}.ready").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)


# All of them


def drain(study: Study, folder: Path, within: float = 600) -> None:
    """Run eight processes, one of which is killed and another takes its place; then let whoever is left label
    what is left."""
    for name in names():
        Rater.objects.create(name=name, kind="human")
    processes = [begin(study, folder, number) for number in range(PROCESSES)]
    try:
        wait_until(lambda: len(list(folder.glob("*.ready"))) == PROCESSES)
        (folder / "go").touch()
        count = Rating.objects.filter(item__study=study).count
        wait_until(lambda: count() > study.items.count() // 4, within)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].communicate()
        processes[0] = begin(study, folder, 0)
        for process in processes:
            _, errors = process.communicate(timeout=within)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
    finish(study, folder)


def begin(study: Study, folder: Path, number: int) -> Any:
    return start(
        "-m",
        "tests.annotation.draining",
        study.slug,
        str(folder),
        str(number),
        ARBITER_ASSIGNMENT_LEASE_MINUTES=str(LEASE / 60),
    )


def finish(study: Study, folder: Path) -> None:
    """Let those who did not vanish label what is left, one after the other. The leases of those who did run
    out first."""
    time.sleep(LEASE)
    for name in names():
        if name.endswith("-0"):
            continue
        person = DrainingRater(study, name, Book(folder / "finish.jsonl"))
        while served := serve(person.desk(), AHEAD):
            for serving in served:
                person.send(serving, person.submission(serving.revision))


# What became of it


@dataclass(frozen=True)
class Account:
    """All but the first five should be 0, and the fifth is on a machine that has time for it."""

    labels: int = 0
    surplus: int = 0
    revisions: int = 0
    refused: int = 0
    busy: int = 0  # times that the database could not be had
    not_exact: int = 0  # items with more or fewer counted labels than raters asked for
    twice: int = 0  # of one rater on one item
    lost: int = 0  # sent or with a receipt, and not in the ledger
    from_nowhere: int = 0  # in the ledger, and never sent
    places_wrong: int = 0  # finished slots that are not those of the counted labels, or unfinished
    kept_wrong: int = 0  # items whose kept votes are not what the ledger says
    counts_wrong: int = 0  # raters whose own count is not what they did

    def wrong(self) -> dict[str, int]:
        first = ("labels", "surplus", "revisions", "refused", "busy")
        return {name: count for name, count in asdict(self).items() if count and name not in first}


def account(study: Study, folder: Path, per_item: int) -> Account:
    lines = [line for path in folder.glob("*.jsonl") for line in Book(path).lines()]
    of = {what: [line for line in lines if line["what"] == what] for what in ("sent", "receipt", "refused")}
    ledger = dict(Rating.objects.filter(item__study=study).values_list("submission", "pk"))
    refused = {line["key"] for line in of["refused"]} - set(ledger)
    sent = {line["key"] for line in of["sent"]}
    lost = {line["key"] for line in of["receipt"] if ledger.get(line["key"]) != line["rating"]}
    votes = Rating.objects.votes().filter(item__study=study)
    counted = Counter(votes.values_list("item", "rater"))
    return replace(
        Account(),
        labels=len(ledger),
        refused=len(refused),
        busy=sum(line["what"] == "busy" for line in lines),
        surplus=Rating.objects.newest().filter(item__study=study, surplus=True).count(),
        revisions=Rating.objects.filter(item__study=study, revision__gt=1).count(),
        lost=len(lost | (sent - refused - set(ledger))),
        from_nowhere=len(set(ledger) - sent),
        not_exact=_not_exact(study, counted, per_item),
        twice=sum(counted.values()) - len(counted),
        places_wrong=_places_wrong(study, counted),
        kept_wrong=_kept_wrong(study, votes),
        counts_wrong=_counts_wrong(study),
    )


def _not_exact(study: Study, counted: Counter[Any], per_item: int) -> int:
    had = Counter(item for item, _ in counted)
    return sum(had[pk] != per_item for pk in study.items.values_list("pk", flat=True))


def _places_wrong(study: Study, counted: Counter[Any]) -> int:
    places = Assignment.objects.filter(study=study)
    done = Counter(places.filter(state="done").values_list("item", "rater"))
    return (done - counted).total() + (counted - done).total() + places.exclude(state="done").count()


def _kept_wrong(study: Study, votes: Any) -> int:
    said: dict[int, dict[int, int]] = {}
    for item, rater, label in votes.values_list("item", "rater", "label"):
        said.setdefault(item, {})[rater] = label
    wrong = 0
    for item in Item.objects.filter(study=study):
        by = said.get(item.pk, {})
        key = " ".join(f"{rater}:{label}" for rater, label in sorted(by.items()))
        wrong += (item.votes, item.human_votes, item.humans_split) != (
            key,
            len(by),
            len(set(by.values())) > 1,
        )
    return wrong


def _counts_wrong(study: Study) -> int:
    done = Counter(Serving.objects.filter(study=study, revision__gt=0).values_list("rater", flat=True))
    skipped = Counter(Skip.objects.filter(item__study=study).values_list("rater", flat=True))
    served = Counter(Serving.objects.filter(study=study).values_list("rater", flat=True))
    return sum(
        (one.done, one.skipped) != (done[one.rater_id], skipped[one.rater_id])
        or one.served < served[one.rater_id]  # an item that lapsed and was given again counts again
        for one in Enrolment.objects.filter(study=study)
    )


if __name__ == "__main__":
    sys.exit(work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
