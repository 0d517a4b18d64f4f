"""A study as one printable page."""
