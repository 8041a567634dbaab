# Every target creates .venv where it is missing; Python 3.11 or newer, git and make are required, nothing else.
# PYTHON=... chooses the interpreter, UV=... names a uv to install with instead of pip, ARGS="..." is passed to pytest, the
# demo or the benchmark.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST ?= $(BIN)/pytest
# A uv that installs what pip would, in a tenth of the time.
UV ?=

# W&B's own clients for the tests, each in an environment of its own; LAUNCHD_WANDB_VENVS=... names a directory that
# already has them.
CLIENT_LOCKS := $(shell ls tests/compat/requirements-wandb-*.txt | sort --version-sort)
USUAL_CLIENT_LOCKS := tests/compat/requirements-wandb-0.20.1.txt $(lastword $(CLIENT_LOCKS))
client_venvs = $(if $(LAUNCHD_WANDB_VENVS),,$(patsubst tests/compat/requirements-%.txt,$(VENV)/%/.installed,$(1)))

# Directories of tests among the arguments, if any: the clients are for one of them alone.
TEST_PATHS := $(filter tests/%,$(ARGS))
with_clients = $(if $(TEST_PATHS),$(if $(filter tests/compat%,$(TEST_PATHS)),$(call install_clients,$(1)),true),$(call install_clients,$(1)))
install_clients = $(MAKE) --no-print-directory $(1) || echo "W&B's clients are missing: the tests that drive them say so."
RUN_TESTS = $(PYTEST) -n auto --dist loadgroup --durations=10

# The extras with a lock file of their own in requirements/, which holds what the agent needs as well; that of the
# development tools has the queue server, too.
EXTRAS := server postgres bayes parquet venv docker kubernetes aws gcp azure metrics gpu dev
COMPILE = $(BIN)/uv pip compile setup.cfg --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

# Installs what the lock files say, and nothing else: a package with another hash is refused.
INSTALL = $(if $(UV),$(call UV_INSTALL,$(UV)) $(BIN)/python,$(BIN)/pip install --quiet --disable-pip-version-check)
UV_INSTALL = UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true $(1) pip install --quiet --compile-bytecode --python
INSTALL_TREE = $(INSTALL) --no-deps --no-build-isolation --editable .

# The first interpreter on the PATH that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test test-long clients all-clients check bench bench-faults docs deb rpm image format lock lock-client clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Run example jobs through a queue server and an agent, and show their outcomes
	@$(BIN)/python examples/demo.py $(ARGS)

test: $(VENV)/.dev ## Run the tests (ARGS="tests/unit -k journal" for some of them)
	@$(call with_clients,clients)
	$(RUN_TESTS) $(ARGS)

test-long: $(VENV)/.dev ## Run the tests and what takes too long for every time: about two hours on two cores
	@$(call with_clients,all-clients)
	$(RUN_TESTS) --long $(ARGS)

clients: $(call client_venvs,$(USUAL_CLIENT_LOCKS)) ## Install the W&B clients that the tests drive

all-clients: $(call client_venvs,$(CLIENT_LOCKS)) ## Install those of the long run, too

check: $(VENV)/.dev ## Lint, check the types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev ## Measure performance, and print each figure beside the baseline of this machine
	$(BIN)/python -m benchmarks $(ARGS)

bench-faults: $(VENV)/.dev ## Run jobs while processes, link, disk, clocks and databases fail; count broken promises
	$(BIN)/python -m benchmarks.faults $(ARGS)

docs: $(VENV)/.dev ## Regenerate the generated parts of docs/ and check the rest
	$(BIN)/python docs/generate.py
	$(BIN)/pytest tests/unit/docs $(ARGS)

deb: ## Build the Debian packages in dist/ (Debian: apt-get install debhelper dpkg-dev python3-venv)
	packaging/fetch.sh build/wheels
	packaging/deb/build.sh dist build/wheels

rpm: ## Build the rpm packages in dist/
	packaging/fetch.sh build/wheels
	packaging/rpm/build.sh dist build/wheels

image: ## Build the agent's container image on the local engine (ENGINE=podman, BASE=... for another base image)
	packaging/image/build.sh $(ARGS)

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One resolution of everything first, so that the versions of all lock files agree.
lock: $(VENV)/.dev ## Pin the newest compatible versions, with their hashes, in requirements.lock and requirements/
	@all=$$(mktemp) && trap 'rm -f "$$all"' EXIT && set -x && \
		$(COMPILE) --all-extras --upgrade --output-file "$$all" && \
		$(COMPILE) --extra build --constraint "$$all" --output-file requirements.lock && \
		$(foreach extra,$(EXTRAS),$(COMPILE) $(addprefix --extra ,build $(extra) $(if $(filter dev,$(extra)),server postgres)) \
			--constraint "$$all" --output-file requirements/$(extra).lock &&) true

lock-client: $(VENV)/.dev ## Pin a version of W&B's client and its requirements for the tests (WANDB=0.31.0)
	@printf '%s\n' "wandb[launch]==$(WANDB)" wandb-workspaces | $(BIN)/uv pip compile - --universal --python-version 3.11 --no-header --no-annotate \
		--quiet --output-file tests/compat/requirements-wandb-$(WANDB).txt > /dev/null

clean: ## Remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Requirements of the agent and the queue server.
$(VENV)/.run: setup.cfg requirements/server.lock | $(VENV)/bin/python
	@echo "Installing launchd into $(VENV) (once) ..."
	@$(INSTALL) --require-hashes -r requirements/server.lock
	@$(INSTALL_TREE)
	@touch $@

# Requirements of the development tools; no cloud SDK.
$(VENV)/.dev: setup.cfg requirements/dev.lock | $(VENV)/bin/python
	@echo "Installing launchd and its development tools into $(VENV) (once) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.lock
	@$(INSTALL_TREE)
	@touch $@ $(VENV)/.run

$(VENV)/wandb-%/.installed: tests/compat/requirements-wandb-%.txt | $(VENV)/.dev
	@echo "Installing W&B's client $* for the tests (once) ..."
	@$(PYTHON) -m venv --without-pip --clear $(@D)
	@$(call UV_INSTALL,$(BIN)/uv) $(@D)/bin/python --no-deps --requirement $<
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is required, and there is none on the PATH; name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) could not create $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; }
