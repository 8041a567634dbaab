# Every target makes .venv itself where it is missing: Python 3.11 or newer, git and make are all it takes.
# PYTHON=... chooses the interpreter, ARGS="..." goes to pytest, the demo or the benchmark.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# The first interpreter on the PATH that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-faults docs format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Run real jobs through a queue, an agent and its workers, and show them
	@$(BIN)/python examples/demo.py $(ARGS)

test: $(VENV)/.dev ## Run the tests (ARGS="-k journal" for some of them)
	$(BIN)/pytest -n auto $(ARGS)

check: $(VENV)/.dev ## Lint, check the types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev ## Measure, and print the figures beside their limits
	$(BIN)/python -m benchmarks $(ARGS)

bench-faults: $(VENV)/.dev ## Run jobs while killing processes at random; count what was lost, doubled or left behind
	$(BIN)/python -m benchmarks.faults $(ARGS)

docs: $(VENV)/.dev ## Write the generated parts of docs/ anew and check the rest
	$(BIN)/python docs/generate.py
	$(BIN)/pytest tests/unit/docs $(ARGS)

format: $(VENV)/.dev ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## Pin the newest versions that agree with each other in requirements.lock
	$(BIN)/uv pip compile setup.cfg --all-extras --universal --python-version 3.11 --upgrade --no-header \
		--quiet --output-file requirements.lock

clean: ## Remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What the daemon and its server need.
$(VENV)/.run: setup.cfg requirements.lock | $(VENV)/bin/python
	@echo "Installing launchd into $(VENV) (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[server]'
	@touch $@

# What its developers need; no cloud's SDK.
$(VENV)/.dev: setup.cfg requirements.lock | $(VENV)/bin/python
	@echo "Installing launchd and its development tools into $(VENV) (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[server,dev]'
	@touch $@ $(VENV)/.run

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none is on the PATH; name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) could not make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; }
