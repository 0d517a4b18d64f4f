"""A provider on loopback whose answers are made up, for the demo, tests and benchmarks.

It speaks the dialects of five services that are compatible with OpenAI's, each under a path of its own
(docs/dialects.md). `python -m arbiter.simulator --help` runs it without Django; `running.running_simulator`
starts one for a test.
"""
