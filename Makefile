# Every target makes what it needs in .venv; only make and Python 3.11 or newer must be there.
# PYTHON=/path/to/python picks the interpreter, ARGS="-k sleep" goes to pytest.

PYTHON ?= $(firstword $(foreach python,python3.13 python3.12 python3.11 python3,$(shell \
	$(python) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(python))))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Two more than there are cores ("auto" would count the physical ones, which are fewer on many a machine): some tests
# wait most of the time. Each further one would load and collect everything again.
PYTEST := $(BIN)/python -m pytest -n $(shell expr $$(nproc 2>/dev/null || echo 2) + 2) --dist worksteal $(ARGS)

# Without bytecode each of the many processes of the tests would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.DELETE_ON_ERROR:
# How long `make chaos` breaks things; SEED=N repeats the faults of an earlier one.
MINUTES ?= 10

.PHONY: help demo test test-sqlite test-postgres bench proof chaos check clean

help:
	@echo 'make demo   the example project: web server, workers and executions; Ctrl-C ends it'
	@echo 'make test   the test suite on SQLite and on PostgreSQL (or on DATABASE_URL)'
	@echo 'make bench  speed, beside that of others; ARGS="--only W1,W2 --systems ours,dbos --rounds 3" picks a part'
	@echo 'make proof  the promises, proven whole: crashes at every statement, all races, hostile settings; takes an hour or more'
	@echo 'make chaos  example workflows while database, workers and connections break; MINUTES=10'
	@echo 'make check  format, lint, types, missing migrations, security, secrets'
	@echo 'make clean  forget the virtual environment and what tools have cached'

demo: $(VENV)/.installed-demo
	@$(BIN)/python -m testproject.demo

test: test-sqlite test-postgres

test-sqlite: $(VENV)/.installed-dev
	env -u DATABASE_URL $(PYTEST) -o cache_dir=.pytest_cache/sqlite

test-postgres: $(VENV)/.installed-dev
	$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR' -m tests.postgres $(PYTEST) -o cache_dir=.pytest_cache/postgres

bench: $(VENV)/.installed-dev
	@$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR' -m benchmarks $(ARGS)

proof: $(VENV)/.installed-dev
	$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR' -m tests.proof $(ARGS)

chaos: $(VENV)/.installed-dev
	$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR' -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	env -u DATABASE_URL $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive django_workflows testproject docs manage.py
	$(BIN)/python -m tests.secret_scan

clean:
	rm -rf $(VENV) .bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[admin,postgres,cockroachdb,openapi]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Found no Python 3.11 or newer with venv; name one: make PYTHON=/path/to/python'; exit 1; }
	$(PYTHON) -m venv $(VENV)
