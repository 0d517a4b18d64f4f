"""An OpenAI-compatible provider on loopback whose answers are made up, for the demo, tests and benchmarks.

`python -m benchmark.simulator --help` runs it without Django; `running.running_simulator` starts one for a test.
"""
