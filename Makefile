# `make table` sets everything up and runs the main job; `make test` sets everything up and tests.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)))")
TESTERS ?= $(shell echo $$(( $(JOBS) < 8 ? $(JOBS) : 8 )))
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup table test test-rounding test-slurm gpu-check fuzz reliability test-slow speed lint format clean

help:
	@echo "make table | test | test-rounding | test-slurm | gpu-check | fuzz | reliability | test-slow | speed | lint | format"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; about 6 GB, a few minutes)"
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)
	@echo "set up: $(BIN)/dgmbench is ready"

table: $(READY)
	@$(BIN)/dgmbench table quick --seeds 1 --jobs $(JOBS)

test: $(READY)
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile -rs -m "not slow and not gpu and not data"

# the numerical tests once more as an older CPU computes them: none may hold for one rounding only
NUMERICAL := tests/lit_models tests/benchmarks/evaluation/metrics tests/benchmarks/evaluation/features tests/datamodules
test-rounding: $(READY)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
		$(BIN)/python -m pytest $(NUMERICAL) -n $(TESTERS) --dist loadfile \
		-m "not slow and not gpu and not data" --ignore=tests/lit_models/training/test_distributed.py

# as root, and with Debian packages: a SLURM of two nodes on this machine, ended afterwards
test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm --slurm --durations=5

# on a machine with a GPU: every kind of training, resumed to the bit and tried with its protocols
gpu-check: $(READY)
	$(BIN)/python -m pytest -m "gpu and not slurm" -n $(TESTERS) --dist load -rs

# calls that a careless or hostile user may make, drawn by a seed; ten minutes at most
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --seed $(or $(SEED),0)

reliability: $(READY)
	$(BIN)/python -m pytest tests/reliability --write-reliability

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not gpu and not slurm and not data"

speed: $(READY)
	$(BIN)/python -m tests.speed

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf outputs .pytest_cache .mypy_cache .ruff_cache
