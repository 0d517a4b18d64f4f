"""What probes are told: that the process lives, and whether it can do its work.

Answered before anything else looks at the request: a probe asks by an address instead of a name, without
HTTPS and signed in as nobody, and learns nothing it could use.
"""

import logging
import tempfile
from collections.abc import Callable
from functools import cache
from threading import Lock

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from arbiter.core.countcache import remembered
from arbiter.core.guards import ADVICE, missing

OK = "ok"
BROKER_SECONDS = 2.0
DEEP_SECONDS = 600.0  # for which the whole ledger is not read again
_deep = Lock()
logger = logging.getLogger(__name__)
View = Callable[[HttpRequest], HttpResponse]


def answer_probes(following: View) -> View:
    """Answer the paths that probes ask for before any other middleware looks at the request."""
    probes = {"/healthz": healthz, "/readyz": readyz}

    def answer(request: HttpRequest) -> HttpResponse:
        probe = probes.get(request.path_info)
        if probe is None:
            return following(request)
        asked = request.method in ("GET", "HEAD")
        response: HttpResponse = probe(request) if asked else HttpResponseNotAllowed(["GET", "HEAD"])
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return answer


def healthz(_: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    checks = {
        "database": check_database(),
        "migrations": check_migrations(),
        "ledger": check_guards(),
        "data folder": check_data_folder(),
    }
    if settings.CELERY_BROKER_URL:
        checks["broker"] = check_broker()
    deep = request.GET.get("deep") == "1" and set(checks.values()) == {OK}
    if deep and (said := check_whole_ledger()):
        checks["whole ledger"] = said
    ready = set(checks.values()) == {OK}
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def check_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return _failed("doesn't answer", error)
    return OK


def check_migrations() -> str:
    try:
        missing = _known() - set(MigrationRecorder(connection).applied_migrations())
    except Error as error:
        return _failed("not known, as the database doesn't answer", error)
    return f"{len(missing)} not applied; run manage.py migrate" if missing else OK


def check_guards() -> str:
    """Tell whether the database refuses to change what is only added to."""
    try:
        unguarded = missing()
    except Error as error:
        return _failed("not known, as the database doesn't answer", error)
    return f"{', '.join(unguarded)} could be changed; {ADVICE}" if unguarded else OK


def check_whole_ledger() -> str:
    """Read all of the ledger, unless it was read a while ago. One probe at a time does; to others it says
    nothing."""
    if not _deep.acquire(blocking=False):
        return ""
    try:
        return remembered("whole-ledger", _read_ledger, seconds=DEEP_SECONDS, slow=0)
    finally:
        _deep.release()


def _read_ledger() -> str:
    from arbiter.studies.reading.ledgerchecks import check_ledger  # only where somebody asks for it

    try:
        result = check_ledger()
    except Error as error:
        return _failed("not known, as the database doesn't answer", error)
    for fault in result["faults"]:
        logger.warning("the ledger is not whole: %s: %s", fault["where"], fault["what"])
    return OK if result["sound"] else "not whole; run manage.py verify ledger"


@cache
def _known() -> frozenset[tuple[str, str]]:
    """Return the migrations of this version, which a process keeps as long as it lives."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def check_data_folder() -> str:
    try:
        with tempfile.TemporaryFile(dir=settings.DATA) as file:
            file.write(bytes(4096))  # a full disk takes a name, and no more
            file.flush()
    except OSError as error:
        return _failed("can't be written to", error)
    return OK


def check_broker() -> str:
    from arbiter.core.broker import app  # only where there is one

    try:
        with app.connection_for_write(connect_timeout=BROKER_SECONDS) as link:
            link.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except Exception as error:  # what a broker that is away makes of it depends on its kind
        return _failed("can't be reached", error)
    return OK


def _failed(said: str, error: Exception) -> str:
    """Write what went wrong to the log, as it may name hosts, users and paths, and return what is said."""
    logger.warning("not ready: %s: %s", said, " ".join(str(error).split()))
    return said
