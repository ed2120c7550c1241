# Gossamer: everything a developer or a newcomer types.  Each target sets up what it needs.

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench docs parity clean

PYTHON ?= python3
VENV ?= .venv
# Installed before all else and pinned: left to the requirement torch>=2.8, pip takes the newest build there is.
TORCH ?= torch==2.13.0

BIN := $(VENV)/bin
PACKAGE := $(VENV)/.package
READY := $(VENV)/.ready
DEMO_DATA := examples/ac-ala3/ac-ala3.npz
BENCHMARKS := $(wildcard benchmarks/bench_*.py)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(READY) ## make .venv with Gossamer and the developers' tools

$(PACKAGE): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $(PACKAGE)

$(READY): $(PACKAGE)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(READY)

demo: $(PACKAGE) ## reduce a 42-atom peptide: a table, and demo/report.html
	$(BIN)/gossamer reduce $(DEMO_DATA) --train 200 --valid 100 --test 500 --out demo

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -m "not parity and not rank_loss"

lint: $(READY) ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## run the benchmarks, one after the other
	$(if $(BENCHMARKS),,$(error benchmarks/ holds no bench_*.py yet))
	set -e; for script in $(BENCHMARKS); do $(BIN)/python $$script; done

docs: $(READY) ## build the documentation into docs/_build/html
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

parity: $(READY) ## compare with sgdml itself, in an environment of its own
	PYTHON=$(PYTHON) sh benchmarks/sgdml_peer/setup.sh
	$(BIN)/python -m pytest -m parity

clean: ## remove what these targets made
	rm -rf $(VENV) .parity-venv demo docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
