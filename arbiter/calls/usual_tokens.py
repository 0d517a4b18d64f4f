"""How many tokens a call usually takes: from calls that were made, or else from experience at large."""

from collections.abc import Sequence
from dataclasses import dataclass

PAST = 100  # the calls that usual counts are taken from
ENOUGH = 20
USUAL_COMPLETION = 200
BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class UsualTokens:
    """What calls to a model take."""

    tokens: int  # prompt tokens for so many bytes
    bytes: int
    completion: int
    basis: str

    def prompt_tokens(self, size: int) -> int:
        return -(-size * self.tokens // self.bytes)


TAKEN_FOR_GRANTED = UsualTokens(
    1,
    BYTES_A_TOKEN,
    USUAL_COMPLETION,
    f"taken for granted, as it has made fewer than {ENOUGH} calls: {BYTES_A_TOKEN} bytes a prompt "
    f"token, {USUAL_COMPLETION} completion tokens a call or its token limit",
)


def usual_of(past: Sequence[tuple[int, int, int]]) -> UsualTokens | None:
    """Return what calls take of which these were made (prompt tokens, bytes of the prompt, completion
    tokens); None where they are too few to tell."""
    if len(past) < ENOUGH:
        return None
    tokens, size, completion = (sum(column) for column in zip(*past, strict=True))
    basis = f"tokens as in its last {len(past)} calls"
    return UsualTokens(max(1, tokens), size, -(-completion // len(past)), basis)
