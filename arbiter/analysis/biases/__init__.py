"""The bias battery: every way in which a judge may lean, each with its test."""
