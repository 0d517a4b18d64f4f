"""The study file: read, applied, edited in the browser."""
