# The first of these interpreters that runs here makes the virtual environment.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10,$(if $(shell $(p) --version 2>/dev/null),$(p))) python3)
VENV := .venv
BIN := $(VENV)/bin
SSDCONVERT ?= $(BIN)/ssdconvert
WORKERS ?= 2
TOOLCHAINS := caffe ov-2022 ov-2026 myriad

# What pipelines set on the command line; `make help` tells what each is for.
RECIPES := ssd-demo
BUNDLE := release/sources.tar
FLAGS :=
PACKAGE_FLAGS :=
KEY :=
MIRROR :=

ifneq ($(MIRROR),)
export SSDCONVERT_MIRROR := $(MIRROR)
endif

# With -jN each job computes with its share of the cores: OMP_NUM_THREADS, unless somebody has set that.
JOBS = $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),$(if $(filter -j,$(MAKEFLAGS)),$(words $(RECIPES)),1))
CORES = $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
EACH = $(shell echo $$(( $(CORES) > $(JOBS) ? $(CORES) / $(JOBS) : 1 )))
SHARE = $(if $(filter 1,$(JOBS)),,OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),$(EACH)) )

# A recipe's name holds nothing else, and begins with no dash; other names, and none, are told before anything runs.
LETTERS := a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 . _ -
without = $(if $1,$(call without,$(wordlist 2,$(words $1),$1),$(subst $(firstword $1),,$2)),$2)
ifneq ($(strip $(call without,$(LETTERS),$(RECIPES)) $(filter -%,$(RECIPES)) $(if $(strip $(RECIPES)),,none)),)
$(error RECIPES=$(RECIPES): expected names of recipes, separated by spaces; `$(SSDCONVERT) list` prints them)
endif

.DELETE_ON_ERROR:
.PRECIOUS: build/%/manifest.json
.PHONY: help demo test test-slow lint release archives index known fetch bundle bench docs clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {sub("%", "NAME", $$1); printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'RECIPES="A B"       of release, fetch and bundle (now: $(RECIPES))'
	@echo 'FLAGS=...           options of ssdconvert build and verify, such as --device GPU'
	@echo 'PACKAGE_FLAGS=...   options of ssdconvert package, such as --allow-unpinned'
	@echo 'KEY=FILE            private key that archives are signed with'
	@echo 'MIRROR=DIR|URL      holds RECIPE/FILE, tried first'
	@echo 'PYTHON=FILE         the interpreter that makes .venv'
	@echo '-j N                N builds at once, each with its share of the cores'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 13) else "ssdconvert needs Python 3.10 to 3.12: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[convert,test,lint]'
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0  # for tests alone: with its dependencies it would want a torch of its own
	@touch $@

demo: $(VENV)/.installed ## set up .venv, build the embedded model, show where the picture and the report are
	$(SSDCONVERT) build ssd-demo

build-%: build/%/manifest.json ## build and verify one recipe into build/NAME
	@:

verify-%: $(VENV)/.installed ## verify one recipe again, whatever is up to date
	$(SHARE)$(SSDCONVERT) verify '$*' $(FLAGS)

release: known ## build, verify and package RECIPES into release/, with one page and one JUnit file for all
	@$(MAKE) --no-print-directory --keep-going archives; packed=$$?; \
	$(MAKE) --no-print-directory index && exit $$packed

archives: $(RECIPES:%=release/%.tar)

index: $(VENV)/.installed
	$(SSDCONVERT) report $(RECIPES:%=build/%) --output release

# ssdconvert knows what is up to date, so that it always runs; a manifest that stays the same keeps its time.
build/%/manifest.json: FORCE $(VENV)/.installed
	$(SHARE)$(SSDCONVERT) build '$*' $(FLAGS)

release/%.tar: build/%/manifest.json release/.options
	$(SSDCONVERT) package '$*' --output '$@' $(if $(KEY),--key '$(KEY)') $(PACKAGE_FLAGS)

release/.options: FORCE
	@mkdir -p release
	@echo '$(KEY) $(PACKAGE_FLAGS)' | cmp -s - $@ || echo '$(KEY) $(PACKAGE_FLAGS)' > $@

# A name that does not exist is told before any build.
known: $(VENV)/.installed
	@for name in $(RECIPES); do $(SSDCONVERT) show --quiet "$$name" || exit; done

fetch: known ## get the files of RECIPES into the cache
	$(SSDCONVERT) fetch $(RECIPES)

bundle: known ## get the files of RECIPES into one tar file for a machine without a network
	@mkdir -p $(dir $(BUNDLE))
	$(SSDCONVERT) fetch $(RECIPES) --bundle $(BUNDLE)

bench: build-ssd-demo ## measure what takes less than a minute: start, fetch, verification
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/fetch_throughput.py --megabytes 50 --rounds 3
	$(BIN)/python benchmarks/verify_cost.py build/ssd-demo --pictures 8

# Tests that need a toolchain skip without it; with it they need no network. Exit code 5: there is no Python for it here.
$(VENV)/.toolchain-%: $(VENV)/.installed ssdconvert/toolchains/%.txt
	@if SSDCONVERT_TOOLCHAINS=$(VENV)/toolchains $(BIN)/ssdconvert toolchain add $*; then touch $@; else [ $$? -eq 5 ]; fi
$(VENV)/.toolchain-myriad: ssdconvert/toolchains/myriad-compile.txt

test: $(VENV)/.installed $(TOOLCHAINS:%=$(VENV)/.toolchain-%) ## run the test suite, but for what takes minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow" $(ARGS)

test-slow: $(VENV)/.installed ## what takes minutes: builds at 1200x1200, kills, full disks, odd paths
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m slow $(ARGS)

lint: $(VENV)/.installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed ## write docs/commands/ and docs/recipe.md from the commands' help and the schema
	$(BIN)/python docs/generate.py

clean: ## remove .venv, build, release and caches of tools
	rm -rf $(VENV) build dist release .pytest_cache .mypy_cache .ruff_cache .hypothesis
