"""How much is written in one transaction, and how long others are let in between two.

SQLite has one writer at a time, and whoever waits for it looks again after 1, 2, 5, 10, ... and at last
every 100 milliseconds: it gets in when it looks between two transactions. So they are short, and there is
time between them. While nobody else writes, they are longer, and there is no time between them but what
reading the next rows takes.
"""

from time import monotonic, sleep

from django.db import connection

SECONDS, BESIDE_OTHERS = 0.15, 0.06  # a transaction is to take, and beside others who write to SQLite
FIRST, LEAST, MOST = 100, 50, 2000  # units in one
UNIT = 4096  # bytes that are counted as one more row
GAP = 0.5  # of the time a transaction took, between it and the next
LONGEST_GAP = 0.05  # seconds
OTHERS_SECONDS = 5.0  # since another process wrote, for which it is thought to write again


class Pace:
    """Adapts the units of a transaction to the time that the ones before took."""

    def __init__(self) -> None:
        self.units = min(FIRST, MOST)
        self.wanted = SECONDS
        self.took, self.ended = 0.0, monotonic()
        self.version, self.others = 0, -OTHERS_SECONDS

    def began(self) -> None:
        """Let others in before a transaction, where others write too. Call it before it begins."""
        if connection.vendor != "sqlite" or connection.in_atomic_block:
            return
        self.wanted = BESIDE_OTHERS if self._others_write() else SECONDS
        if self.wanted == BESIDE_OTHERS:
            gap = min(GAP * self.took, LONGEST_GAP) - (monotonic() - self.ended)
            sleep(max(0.0, gap))

    def ran(self, units: int, seconds: float) -> None:
        """Note what a transaction took, without the time it waited to begin."""
        self.took, self.ended = seconds, monotonic()
        if not units:
            return
        fitting = units * self.wanted / max(seconds, 0.001)
        if units >= self.units / 2 or fitting < self.units:  # a short one says little of a full one
            self.units = round(min(MOST, max(LEAST, min(2 * self.units, max(self.units / 4, fitting)))))

    def _others_write(self) -> bool:
        """Tell whether another connection has written in the last seconds, as SQLite counts it."""
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        if version != self.version:
            self.others = monotonic() if self.version else -OTHERS_SECONDS
            self.version = version
        return monotonic() - self.others < OTHERS_SECONDS
