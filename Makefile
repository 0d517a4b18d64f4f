# The first Python that is new enough; the scripts say so themselves if there is none.
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done),python3)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow lint format bench coverage-study docs clean

# `exec` leaves no shell between make and the script, so that a signal sent to make arrives.
help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## install what is missing and start Arbiter with its demo study (PORT=8000 ARBITER_SIMULATOR_PORT=8001)
	@exec $(PYTHON) scripts/run.py

test:  ## run the tests on SQLite, and what depends on the database also on PostgreSQL (ARGS="pytest arguments")
	@exec $(PYTHON) scripts/test.py $(ARGS)

test-slow:  ## run the slow tests, and all rounds of those that "make test" cuts short (ARGS="pytest arguments")
	@exec $(PYTHON) scripts/test.py --full $(ARGS)

lint:  ## check style, types (of Python and JavaScript), imports between rooms, migrations and deployment settings
	@exec $(PYTHON) scripts/lint.py

format:  ## format the code and mend what ruff can mend
	@exec $(PYTHON) scripts/lint.py --fix

bench:  ## measure speed and memory on SQLite and PostgreSQL (ARGS="names of benchmarks")
	@exec $(PYTHON) scripts/bench.py $(ARGS)

coverage-study:  ## simulate rates, settlement and biases, in about an hour; finished parts are kept (ARGS="repetitions seed")
	@exec $(PYTHON) scripts/coverage.py $(ARGS)

docs:  ## make a website of README.md and docs/, in build/docs; a broken link fails
	@exec $(PYTHON) scripts/docs.py

clean:  ## remove .venv, node_modules and every cache; your data in var/ stays
	@rm -rf .venv node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@echo "Removed .venv, node_modules and the caches. Your data in var/ is untouched."
