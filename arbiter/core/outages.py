"""Waiting for a database that is away for a while, as it is while it is started anew."""

import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

LONGEST_OUTAGE = 60.0  # seconds that a database may be away
T = TypeVar("T")
logger = logging.getLogger(__name__)


def despite_outages(function: Callable[[], T], longest: Callable[[], float] = lambda: LONGEST_OUTAGE) -> T:
    """Run a step outside any transaction; again while the database is away.

    Whether a step that was cut off counted is not known, so it may be run twice.
    """
    began, wait = monotonic(), 0.1
    while True:
        try:
            return function()
        except (OperationalError, InterfaceError) as error:
            connections.close_all()
            if monotonic() - began > longest():
                raise
            logger.warning("The database can't be used right now (%s); trying again.", str(error).strip())
            sleep(wait)
            wait = min(2 * wait, 5.0)
