"""The error that is meant for people."""


class UserError(Exception):
    """Something a user can mend: what is wrong, where, and how to fix it, in one sentence."""

    kind = "refused"  # a key of arbiter.core.errorkinds.ERROR_KINDS


class SeveralErrors(UserError):
    """Several of them, with a line for each."""
