# One place for each command. Needs GNU make, git, and Python 3.11 or newer with pip.
#
#   make demo          own environment, pinned installation, then the demo suite
#   make test          the same environment with the test tools, then check, pytest, wheel
#   make check         formatting, lint, types
#   make fix           repairs what can be repaired by a tool
#   make goldens       writes tests/golden anew (a change needs a raised task version)
#   make leaderboard   writes results/demo anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test check pytest wheel fix goldens leaderboard clean

demo: $(VENV)/installed
	$(BIN)/vipbench run

test: check pytest wheel

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

pytest: $(VENV)/installed-test
	$(BIN)/python -m pytest

wheel: $(VENV)/installed-test
	PYTHON='$(PYTHON)' BUILD='$(BIN)/python -m build' sh tests/wheel.sh

fix: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

goldens: $(VENV)/installed-test
	$(BIN)/python -m pytest tests/test_golden.py --update-goldens

leaderboard: $(VENV)/installed
	$(BIN)/python results/demo/make.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# The stamps are older than what they stand for as soon as a requirement changes. The build
# backend is installed first, so that its version is pinned like every other.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(0 if v >= (3, 11) else "vipbench needs Python 3.11 or newer, but $(PYTHON) is " \
	  "%d.%d: name another one with make PYTHON=..." % v[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[test,dev]'
	touch $(VENV)/installed $@
