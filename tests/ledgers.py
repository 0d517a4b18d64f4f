"""What holds of the ledger whatever has happened to whoever wrote in it."""

from arbiter.studies.reading.ledgerchecks import check_ledger


def assert_sound() -> None:
    result = check_ledger()
    assert result["sound"], result["faults"]
