# Each target says what it does after `##`; `make help` prints them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install lock check format test torture bench-opening bench-import bench-deploying demo clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

install: $(STAMP) ## make the environment in .venv from the lock file

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

lock: ## resolve requirements.lock again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras --group dev pyproject.toml -o requirements.lock

check: $(STAMP) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP) ## run every test; what a test needs beyond PyPI it finds or is skipped by name
	$(BIN)/pytest -n auto --dist loadgroup

torture: $(STAMP) ## the fault tests at full size: hundreds of kills, 10,000 certificates, machines cut off
	TORTURE=1 $(BIN)/pytest -q -s --durations=0 tests/faults

bench-opening: $(STAMP) ## how long opening a PKCS#12 takes, beside its peers; prints a table, writes JSON
	$(BIN)/python benchmarks/opening.py --json benchmarks/opening.json

bench-import: $(STAMP) ## imports, deletions and lists end to end, beside bare opening; prints a table, writes JSON
	$(BIN)/python benchmarks/importing.py --json benchmarks/importing.json

bench-deploying: $(STAMP) ## how many profiles a deployer gets in a second; prints a table, writes JSON
	$(BIN)/python benchmarks/deploying.py --json benchmarks/deploying.json

demo: $(STAMP) ## start a throw-away service, upload a sample bundle, show the report, delete, stop
	$(BIN)/python examples/demo.py sample_bundles/serial-numbers.zip

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
