"""Convergence rates by arm, as labelled and corrected for judge error."""
