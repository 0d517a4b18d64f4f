"""Collecting responses from subject models. A response's row is the job, every call for it an attempt."""
