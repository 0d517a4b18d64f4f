"""How often somebody may try a secret, counted in the database: every process of the server counts together.

A try is counted before its password is hashed, and one too many is refused without: hashing takes a hundred
times what a label takes, so whoever tries passwords without end must not get to it. What was right is not
counted against anybody.

Nobody is locked out by what others try. Counts by account and for all together pass over an account at an
address where its password was right before; they end with their window; and sign-in links, and links to set a
password, need no password.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from logging import getLogger
from time import monotonic, sleep
from typing import Any, NamedTuple
from unicodedata import normalize

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import salted_hmac

from annotation.models import Tries
from arbiter.core.errorkinds import notice_of
from arbiter.core.errors import UserError

WINDOW = timedelta(seconds=10)
SPARED = 40  # of a process's time, one part in so many goes into wrong passwords of people who are not known
LONGEST = 60.0  # seconds that one of them may hold up the others
FLOOD = 10  # refusals in a window after which whoever goes on is told so at the least cost
SIGN_IN = "/sign-in"
KNOWN_FOR = timedelta(days=90)
KEPT_FOR = timedelta(days=1)  # a count that has ended
PATIENCE = 1.0  # seconds that a right moment for hashing is waited for
logger = getLogger(__name__)
WITH_PORT = re.compile(r"\A(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):[0-9]+\Z")  # as some proxies write an address


class Limit(NamedTuple):
    """So many tries within a time, of what has this key."""

    key: str
    most: int
    within: timedelta


class TooMany(UserError):
    """One try too many, and in how many seconds another is taken."""

    kind = "too-many"

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds + 0.5))
        minutes = round(self.seconds / 60)
        wait = f"{self.seconds} seconds" if self.seconds < 100 else f"{minutes} minutes"
        wait = "a second" if self.seconds == 1 else wait
        super().__init__(f"Too many tries for now. Nothing was checked; try again in {wait}.")


def client_address(request: HttpRequest) -> str:
    """Return where a request comes from, as far as proxies of our own say; of IPv6 the network, as one person
    has all of it."""
    sender = request.META.get("REMOTE_ADDR", "")
    if settings.PROXIES:
        passed = [one.strip() for one in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(passed) >= settings.PROXIES:
            sender = passed[-settings.PROXIES]
    try:
        address = ip_address(WITH_PORT.sub(r"\1\2", sender).strip("[]"))
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network(f"{address}/64", strict=False))
    return str(address)


def _key(kind: str, *parts: str) -> str:
    """Return the key of a count, from which neither an address nor a name can be read, nor looked for without
    the secret key."""
    return salted_hmac(f"arbiter.tries.{kind}", "\x00".join(parts), algorithm="sha256").hexdigest()


class Trying:
    """One try of an account's password from an address: counted, then hashed in one of the places there are
    for it.

    `with Trying(request, name) as tried: ...; tried.right()`. Raises TooMany before anything is hashed."""

    def __init__(self, request: HttpRequest, account: str) -> None:
        address = client_address(request)
        account = normalize("NFKC", account.strip())[:150]  # as the form reads it: one account has one count
        here = (address, account)
        self.known = _key("known", *here)
        # What labelling can spare. Counted once wrong, so that a room of people who sign in at once hold up
        # nobody.
        self.all = Limit(_key("all"), 3, timedelta(seconds=1))
        # However right they are: signing in without end is hashing without end.
        self.paced = [Limit(_key("pace", *here), 3, WINDOW)]
        self.wrong = [Limit(_key("pair", *here), 5, timedelta(minutes=5))]
        self.of_strangers = [
            Limit(_key("address", address), 3, WINDOW),
            Limit(_key("addresses", address), 30, timedelta(minutes=15)),
            Limit(_key("account", account), 20, timedelta(hours=1)),
        ]
        self._place = hashing()
        self._was_right = False

    def look(self) -> dict[str, Tries]:
        """Raise TooMany where a limit is full, and count nothing; what is counted so far otherwise."""
        strangers = [*self.of_strangers, self.all]
        running = _running([self.known, *(one.key for one in [*self.wrong, *strangers, *self.paced])])
        _refuse_full([*self.wrong, *self.paced, *([] if self.known in running else strangers)], running)
        return running

    def __enter__(self) -> "Trying":
        running = self.look()
        if self.known in running:
            self.of_strangers = []
        self.wrong += self.of_strangers
        count([*self.wrong, *self.paced], running)
        try:
            self._place.__enter__()
        except TooMany:
            take_back(self.wrong)
            raise
        self._clock = monotonic()
        if self.of_strangers:
            self._stop_where_others_were_wrong_meanwhile()
        return self

    def _stop_where_others_were_wrong_meanwhile(self) -> None:
        try:
            _refuse_full([self.all], _running([self.all.key]))
        except TooMany:
            self._place.__exit__(None, None, None)
            take_back(self.wrong)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self.of_strangers and not self._was_right:
                self._hold_up_the_next()
        finally:
            self._place.__exit__(None, None, None)

    def _hold_up_the_next(self) -> None:
        """Hold up the next try of whoever is not known: the longer this wrong one took from the labels, as on
        a slow or busy machine, the later the next."""
        taken = min((monotonic() - self._clock) * SPARED, LONGEST)
        with suppress(TooMany):  # another machine's place, at the same moment
            _count(self.all, timezone.now())
        Tries.objects.filter(key=self.all.key).update(ends_at=F("ends_at") + timedelta(seconds=taken))

    def right(self) -> None:
        """Note that the password was right: this and earlier mistakes here are forgotten, and the account is
        known here."""
        self._was_right = True
        take_back(self.wrong)
        Tries.objects.filter(key=self.wrong[0].key).update(count=0)
        self.remember()

    def remember(self) -> None:
        until = timezone.now() + KNOWN_FOR
        Tries.objects.update_or_create(key=self.known, defaults={"ends_at": until})


def _running(keys: Sequence[str]) -> dict[str, Tries]:
    return {row.key: row for row in Tries.objects.filter(key__in=keys, ends_at__gt=timezone.now())}


def count(limits: Sequence[Limit], running: dict[str, Tries] | None = None) -> None:
    """Count one try under each limit, or none where one of them is full. Raises TooMany.

    What is full is found without writing: whoever goes on trying takes no lock that a label needs."""
    now = timezone.now()
    _refuse_full(limits, _running([one.key for one in limits]) if running is None else running)
    with transaction.atomic():  # one that filled up meanwhile takes back those counted before it
        for limit in limits:
            _count(limit, now)


def _refuse_full(limits: Sequence[Limit], running: dict[str, Tries]) -> None:
    rows = [(running[one.key], one.most) for one in limits if one.key in running]
    full = [row.ends_at for row, most in rows if row.count >= most]
    if full:
        raise TooMany((max(full) - timezone.now()).total_seconds())


def _count(limit: Limit, now: datetime) -> None:
    """Count one try, or raise TooMany. Of those who try at once, the row counts say who was within the
    limit."""
    row, until = Tries.objects.filter(key=limit.key), now + limit.within
    for _ in range(2):  # again where somebody else made the row, or began its window anew, at the same moment
        if row.filter(ends_at__gt=now, count__lt=limit.most).update(count=F("count") + 1):
            return
        if row.filter(ends_at__lte=now).update(count=1, ends_at=until):
            return
        if Tries.objects.get_or_create(key=limit.key, defaults={"count": 1, "ends_at": until})[1]:
            Tries.objects.filter(ends_at__lt=now - KEPT_FOR).delete()
            return
    raise TooMany(limit.within.total_seconds())


def take_back(limits: Sequence[Limit]) -> None:
    Tries.objects.filter(key__in=[one.key for one in limits], count__gt=0).update(count=F("count") - 1)


def count_wrong_link(request: HttpRequest) -> None:
    """Count a link that is none: guessing one is hopeless, and is not to be done at full speed either. Raises
    TooMany."""
    count([Limit(_key("link", client_address(request)), 30, timedelta(minutes=10))])


def count_mail(request: HttpRequest, to: str) -> None:
    """Count a mail that somebody asks for, so that nobody's box is filled from here. Raises TooMany."""
    box = Limit(_key("mail", to.strip().casefold()[:254]), 3, timedelta(hours=1))
    count([Limit(_key("mails", client_address(request)), 10, timedelta(hours=1)), box])


@contextmanager
def hashing() -> Iterator[None]:
    """Hold one of the places this machine has for hashing passwords, of all its processes together. Raises
    TooMany.

    The place is a lock on a file: it ends with its process, however that ends.
    """
    folder = settings.DATA / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    deadline = monotonic() + PATIENCE
    while (lock := _free_place(folder)) is None:
        if monotonic() > deadline:
            raise TooMany(1)
        sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def _free_place(folder: os.PathLike[str]) -> int | None:
    for number in range(settings.HASHES_AT_ONCE):
        lock = os.open(os.path.join(folder, f"hashing-{number}"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            os.close(lock)
    return None


def refused(
    request: HttpRequest,
    error: TooMany,
    template: str = "web/refusal.html",
    context: Callable[[], dict[str, Any]] = dict,
) -> HttpResponse:
    """Answer with the page that says when to try again; a flood from one address, with the sentence alone."""
    address = client_address(request)
    _count_refusal(address)
    if _floods(address):
        answer = HttpResponse(
            f"{error}\n", content_type="text/plain; charset=utf-8", status=notice_of(error).status
        )
        answer["Content-Length"] = str(len(answer.content))
    else:
        logger.warning("%s: too many tries from %s", request.path, address)
        answer = render(
            request, template, {"message": str(error), **context()}, status=notice_of(error).status
        )
    answer["Retry-After"] = str(error.seconds)
    return answer


def answer_floods(
    following: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse what a flood tries at sign-in by one look at the counts, before sessions, forms and pages take
    their time.

    The same counts as those of the page: whoever is let through there is let through here."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and request.path_info == SIGN_IN and _floods(client_address(request)):
            try:
                Trying(request, request.POST.get("username", "")).look()
            except TooMany as error:
                return refused(request, error)
        return following(request)

    return answer


_refusals: dict[str, tuple[int, float]] = {}  # of each address: how many there were since when


def _count_refusal(address: str) -> None:
    """Count a refusal of an address. Each process counts for itself: it is only about what a refusal
    costs."""
    times, began = _recent(address)
    if len(_refusals) > 1000:
        _refusals.clear()
    _refusals[address] = (times + 1, began)


def _floods(address: str) -> bool:
    return _recent(address)[0] > FLOOD


def _recent(address: str) -> tuple[int, float]:
    now = monotonic()
    times, began = _refusals.get(address, (0, now))
    return (times, began) if now - began < WINDOW.total_seconds() else (0, now)
