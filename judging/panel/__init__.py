"""Asking the judges: the prompt, the call, what its answer says, what it may cost;
and scorers, programs that label."""
