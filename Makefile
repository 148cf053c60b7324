# Each target says what it does after `##`; `make help` prints them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNNING := $(VENV)/.running
DEVELOPING := $(VENV)/.developing
# --no-deps: the lock names every package, and pip must not look for others, nor for extras of newer releases.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras

.DEFAULT_GOAL := help
.PHONY: help install lock check format test test-fast test-later cover torture bench-opening bench-import bench-deploying wheel demo clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 17

install: $(DEVELOPING) ## make the environment in .venv from the lock files

# Enough to run the service: its packages, and a command that runs this checkout.
$(RUNNING): requirements.lock
	$(if $(PYTHON_FOUND),$(error $(PYTHON_REFUSAL)))
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	pwd >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -P -m bulkcert "$$@"\n' >$(BIN)/bulkcert
	chmod +x $(BIN)/bulkcert
	touch $@

# What tests and checks need beside it.
$(DEVELOPING): requirements-dev.lock pyproject.toml $(RUNNING)
	$(INSTALL) --require-hashes -r requirements-dev.lock
	$(INSTALL) --no-build-isolation -e .
	touch $@

# A Python that is too old is refused in one line, which says its version and what to type.
PYTHON_VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
NEWER_PYTHON = $(firstword $(foreach name,python3.13 python3.12 python3.11,$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
TOO_OLD := 2.% 3.0.% 3.1.% 3.2.% 3.3.% 3.4.% 3.5.% 3.6.% 3.7.% 3.8.% 3.9.% 3.10.% missing
PYTHON_FOUND = $(filter $(TOO_OLD),$(or $(PYTHON_VERSION),missing))
PYTHON_ADVICE = $(if $(NEWER_PYTHON),Type,Install one and type): make $(or $(MAKECMDGOALS),install) PYTHON=$(or $(NEWER_PYTHON),python3.11)
PYTHON_REFUSAL = bulkcert needs Python 3.11 or newer; $(PYTHON) is $(PYTHON_FOUND). $(PYTHON_ADVICE)

lock: ## resolve the locks again: packages, development, continuous integration, npm (needs uv and npm)
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --group dev --constraints requirements.lock pyproject.toml -o requirements-dev.lock
	$(LOCK) --group ci -o requirements-ci.lock
	cd .ci && npm install --package-lock-only --no-audit --no-fund --silent

check: $(DEVELOPING) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEVELOPING) ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(DEVELOPING) ## run every test; what a test needs beyond PyPI it finds or is skipped by name
	$(BIN)/pytest -n auto --dist loadgroup

# The fast set (tests/fast.py): no server, no process, no PostgreSQL, no fault. One path runs in this process, for
# workers take longer to start than a file of tests takes.
T :=
test-fast: $(DEVELOPING) ## run the fast tests; T=tests/values/test_secret.py: those of one path
	$(BIN)/pytest --fast -q --durations=5 $(or $(T),-n auto --dist loadgroup)

cover: $(DEVELOPING) ## run the fast tests with line and branch coverage; fails under its floor
	$(BIN)/pytest --fast -q -n auto --dist loadgroup --cov --cov-report=term:skip-covered

# All that a calendar can break goes by the clock of the test process, which is moved: certificates, tokens, limits of
# age, the API without its server. So the slow tests are in, too. Left out are the tests that need another process with
# a clock: a service, a database server, a web process, openssl.
YEARS := 1 5
LATER := -m 'not live and not postgres and not faults' --ignore=tests/processes/test_web.py \
	--ignore=tests/formats/pkcs12/test_tools.py

test-later: $(DEVELOPING) ## run the tests that need no other clock at dates one and five years ahead; or YEARS=2
	set -e; for years in $(YEARS); do \
		TESTS_YEARS_AHEAD=$$years $(BIN)/pytest -n auto --dist loadgroup -q $(LATER); done

torture: $(DEVELOPING) ## faults and attacks at full size: hundreds of kills, 10,000 certificates, 520 stalled bodies
	TORTURE=1 $(BIN)/pytest -q -s --durations=0 tests/faults tests/live/test_bodies_live.py

bench-opening: $(DEVELOPING) ## how long opening a PKCS#12 takes, beside its peers; prints a table, writes JSON
	$(BIN)/python benchmarks/opening.py --json benchmarks/opening.json

bench-import: $(DEVELOPING) ## imports, deletions and lists end to end, beside bare opening; prints a table, writes JSON
	$(BIN)/python benchmarks/importing.py --json benchmarks/importing.json

bench-deploying: $(DEVELOPING) ## how many profiles a deployer gets in a second; prints a table, writes JSON
	$(BIN)/python benchmarks/deploying.py --json benchmarks/deploying.json

wheel: $(DEVELOPING) ## build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir dist .

demo: $(RUNNING) ## start a throw-away service, upload a sample bundle, show the report, delete, stop
	$(BIN)/python examples/demo.py sample_bundles/serial-numbers.zip

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
