# One place for each command. Needs GNU make, git, and Python 3.11 or newer with pip.
#
#   make demo          own environment, pinned installation, then the demo suite
#   make test          the same environment with the test tools, then check, pytest,
#                      test-versions, test-wheel
#   make check         formatting, lint, types
#   make fix           repairs what can be repaired by a tool
#   make goldens       regenerates tests/data and tests/golden (a change of the latter needs a
#                      raised task version)
#   make leaderboard   regenerates results/demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
# What pip does in one process, on all cores; some packages hold files that are no Python.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
LOWEST := build/lowest
# Byte code is kept, also where the environment says otherwise: the tests start a hundred processes,
# each of which would compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=
# A process a core; a file's tests stay in one process, and files in their order.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DELETE_ON_ERROR:
.PHONY: demo test check pytest test-versions test-wheel fix goldens leaderboard clean

demo: $(VENV)/installed
	$(BIN)/vipbench run

test: check pytest test-versions test-wheel

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

pytest: $(VENV)/installed-test
	$(BIN)/python -m pytest $(PARALLEL)

test-versions: $(VENV)/installed-test $(LOWEST)/installed
	PYTHONPATH=$(CURDIR)/$(LOWEST) $(BIN)/python tests/versions/lowest.py $(PARALLEL)

test-wheel: $(VENV)/installed-test
	sh tests/wheel.sh $(BIN)/python

fix: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

goldens: $(VENV)/installed-test
	$(BIN)/python tests/make_data.py
	$(BIN)/python tests/make_goldens.py

leaderboard: $(VENV)/installed
	$(BIN)/vipbench run --fresh -o build/demo/vipllava-demo
	$(BIN)/vipbench run --fresh -o build/demo/vipllava-demo-early \
	  --model vipbench/demo/checkpoints/vipllava-demo-early
	for runner in oracle majority random constant; do \
	  $(BIN)/vipbench run --fresh -o build/demo/$$runner --runner $$runner || exit; done
	$(BIN)/vipbench leaderboard -o results/demo $(addprefix build/demo/, \
	  vipllava-demo vipllava-demo-early oracle majority random constant)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# The stamps are older than what they stand for as soon as a requirement changes. The build
# backend is installed first, so that its version is pinned like every other.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(0 if v >= (3, 11) else "vipbench needs Python 3.11 or newer, but $(PYTHON) is " \
	  "%d.%d: name another one with make PYTHON=..." % v[:2])'
	$(PYTHON) -m venv $(VENV) || { \
	  echo "without ensurepip: the environment gets its pip from $(PYTHON)"; \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable .
	$(COMPILE)
	touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[test,dev]'
	$(COMPILE)
	touch $(VENV)/installed $@

# The lowest versions lie in front of the environment's, which has all else that they need.
$(LOWEST)/installed: tests/versions/lowest.txt | $(BIN)/python
	rm -rf $(LOWEST)
	$(BIN)/python -m pip install --quiet --no-deps --target $(LOWEST) --requirement $<
	touch $@
