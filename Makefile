# Every target does its own set-up. Needs only make and Python 3.11 or later (PYTHON=... names one).
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup env demo test lint format up down test-compose lock simulate faults model mutate prove wheel sbom advisories

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
LOCKS := run dev postgres

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

$(VENV)/.ready: requirements/dev.lock pyproject.toml local/setup.sh
	@PYTHON="$(PYTHON)" sh local/setup.sh $(VENV)

setup: $(VENV)/.ready ## Make the virtual environment from the lock file, once

env: $(VENV)/.ready ## Make .env with passwords of this installation's own
	@$(PY) -m provision.secrets

demo: $(VENV)/.ready ## Buy and double on a real broker and database, and see the right balances
	@$(PY) -m local run -- $(BIN)/holdfast demo

up: $(VENV)/.ready ## Start everything and leave it running
	@$(PY) -m local up

down: $(VENV)/.ready ## Stop what `up` started; data is kept
	@$(PY) -m local down

test: $(VENV)/.ready ## Run every test on native parts
	@$(BIN)/pytest

simulate: $(VENV)/.ready ## Simulate the whole system, one run for each of SEEDS (0:1000), and judge each run
	@$(PY) -m tests.simulation $(or $(SEEDS),0:1000) $(WITH)

faults: $(VENV)/.ready ## Kill, cut, stop, fill and flood real processes with sagas in flight
	@$(BIN)/pytest -s --show-capture=no tests/faults

model: $(VENV)/.ready ## Visit every state of the protocol's model, and catch each of its broken rules
	@$(PY) -m model $(WITH)

mutate: $(VENV)/.ready ## Change the pure modules in every small way, and see a test fail
	@$(PY) -m tests.mutation

prove: $(VENV)/.ready ## Measure the long figures of docs/evidence.md, in pieces that are each done once on the same code
	@$(PY) -m tests.prove $(WITH)

wheel: $(VENV)/.ready ## Build the library's wheel into dist/
	@$(BIN)/hatchling build --clean --target wheel

sbom: $(VENV)/.ready ## Make the bill of materials from run.lock
	@$(BIN)/cyclonedx-py requirements --output-reproducible --of JSON --pyproject pyproject.toml -o docs/sbom.cdx.json \
	  requirements/run.lock

advisories: $(VENV)/.ready ## Look up known vulnerabilities of what is locked, or say that they were not looked up
	@$(PY) -m local.advisories

test-compose: $(VENV)/.ready ## Run the tests of the whole system on compose.yaml
	@$(PY) -m local.compose

lint: $(VENV)/.ready ## Check style, types and import rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.ready ## Rewrite the code in the one style
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: $(VENV)/.ready ## Bring the lock files to the newest versions that requirements/*.in allow
	@for name in $(LOCKS); do (cd requirements && ../$(BIN)/uv pip compile --quiet --upgrade --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	  $$([ $$name = postgres ] && echo --no-deps) $$name.in -o $$name.lock) || exit 1; done
