# The first of these interpreters that runs here makes the virtual environment.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10,$(if $(shell $(p) --version 2>/dev/null),$(p))) python3)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
TOOLCHAINS := caffe ov-2022 ov-2026 myriad

.DELETE_ON_ERROR:
.PHONY: help demo test test-slow lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 13) else "ssdconvert needs Python 3.10 to 3.12: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[convert,test,lint]'
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0  # for tests alone: with its dependencies it would want a torch of its own
	@touch $@

demo: $(VENV)/.installed ## set up .venv, build the embedded model, show where the picture and the report are
	$(BIN)/ssdconvert build ssd-demo

# Tests that need a toolchain skip without it; with it they need no network. Exit code 5: there is no Python for it here.
$(VENV)/.toolchain-%: $(VENV)/.installed ssdconvert/toolchains/%.txt
	@if SSDCONVERT_TOOLCHAINS=$(VENV)/toolchains $(BIN)/ssdconvert toolchain add $*; then touch $@; else [ $$? -eq 5 ]; fi
$(VENV)/.toolchain-myriad: ssdconvert/toolchains/myriad-compile.txt

test: $(VENV)/.installed $(TOOLCHAINS:%=$(VENV)/.toolchain-%) ## run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow" $(ARGS)

test-slow: $(VENV)/.installed ## what takes minutes: builds at 1200x1200, kills, full disks, odd paths
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m slow $(ARGS)

lint: $(VENV)/.installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove .venv, builds and caches of tools
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
