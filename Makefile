# The first Python that is new enough; the scripts say so themselves if there is none.
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done),python3)

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench coverage-study clean

# `exec` leaves no shell between make and the script, so that a signal sent to make arrives.
help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## install what is missing and start Arbiter with its demo study (PORT=8000 ARBITER_SIMULATOR_PORT=8001)
	@exec $(PYTHON) scripts/run.py

test:  ## run the tests on SQLite and on a private PostgreSQL with Redis (ARGS="pytest arguments")
	@exec $(PYTHON) scripts/test.py $(ARGS)

lint:  ## check style, types, imports between rooms, migrations and deployment settings
	@exec $(PYTHON) scripts/lint.py

format:  ## format the code and mend what ruff can mend
	@exec $(PYTHON) scripts/lint.py --fix

bench:  ## measure speed and memory on SQLite and PostgreSQL (ARGS="names of benchmarks")
	@exec $(PYTHON) scripts/bench.py $(ARGS)

coverage-study:  ## simulate the corrected rates, the biases and the settlement; finished parts are kept (ARGS="repetitions seed")
	@exec $(PYTHON) scripts/coverage.py $(ARGS)

clean:  ## remove .venv and every cache; your data in var/ stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@echo "Removed .venv and the caches. Your data in var/ is untouched."
