# The product's commands. Each makes what it needs: nothing but Python 3.11+ and make must be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL_STAMP := $(VENV)/.wheel
SOURCES := $(shell find src -type f -not -name '*.pyc') pyproject.toml README.md LICENSE

.PHONY: demo test test-slow benchmark torch lint types layers docs check clean

# The wheel is built once, and that wheel is what the demo and the tests run.
$(WHEEL_STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1' build
	rm -rf dist build
	$(BIN)/python -m build -q --wheel --outdir dist .
	$(BIN)/python -m pip install -q --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pip install -q "$$(ls dist/*.whl)[formats,parquet,places,postgres]"
	touch $@

$(VENV)/.test: $(WHEEL_STAMP) pyproject.toml
	$(BIN)/python -m pip install -q --group test
	touch $@

$(VENV)/.lint: $(WHEEL_STAMP) pyproject.toml
	$(BIN)/python -m pip install -q --group lint
	touch $@

demo: $(WHEEL_STAMP)
	$(BIN)/pixseek demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -m 'not slow and not torch' -n 2

$(VENV)/.slow: $(VENV)/.test pyproject.toml
	$(BIN)/python -m pip install -q --group slow
	touch $@

# The wider tier: what is too slow for every change.
test-slow: $(VENV)/.slow
	$(BIN)/python -m pytest -m 'slow and not torch' -n 2

# Against the reference implementations, in an environment of their own: pixseek needs no torch.
TORCH := .venv-torch
TORCH_VERSION ?= 2.13.0
TORCHVISION_VERSION ?= 0.28.0
$(TORCH)/.ready: $(WHEEL_STAMP) pyproject.toml
	test -x $(TORCH)/bin/python || $(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install -q --upgrade 'pip>=25.1'
	$(TORCH)/bin/python -m pip install -q torch==$(TORCH_VERSION)
	$(TORCH)/bin/python -m pip install -q --force-reinstall --no-deps dist/*.whl
	$(TORCH)/bin/python -m pip install -q "$$(ls dist/*.whl)[formats,parquet,places]" --group test --group torch
	# Without what they ask for: torchvision has no CPU build everywhere, and would bring a torch
	# for GPUs. What of it open_clip uses runs without its compiled part (tests/torch_tier/reference.py).
	$(TORCH)/bin/python -m pip install -q --no-deps open_clip_torch timm torchvision==$(TORCHVISION_VERSION)
	touch $@

torch: $(TORCH)/.ready
	$(TORCH)/bin/python -m pytest -m torch

# Against its peers, each in an environment of its own (12 GB); about half an hour when quiet.
benchmark: $(VENV)/.slow
	$(BIN)/python -m pip install -q --group benchmarks
	$(BIN)/python benchmarks/run.py --out benchmark-results
	$(BIN)/python benchmarks/render.py benchmark-results/results.json

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.lint
	$(BIN)/mypy

layers: $(VENV)/.lint
	$(BIN)/lint-imports

check: test lint types layers

clean:
	rm -rf $(VENV) $(TORCH) dist build
