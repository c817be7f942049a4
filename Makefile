# The product's commands. Each makes what it needs: nothing but Python 3.11+ and make must be there.

PYTHON ?= python3
# More options of pytest, for all tiers.
PYTEST_OPTIONS ?=
# Compiled tests are kept, also where the environment says otherwise: 7 s of each run but the first.
export PYTHONDONTWRITEBYTECODE :=
# Tests write thousands of libraries, each of which waits for the disk: in memory, where there is
# room for them and programs may be run, that takes .2 ms a write and not 11 ms (a busy machine).
MEMORY := $(shell awk '$$2 == "/dev/shm" && $$4 !~ /noexec/ {print $$2; exit}' /proc/mounts 2>/dev/null)
ROOM := $(shell df -Pk $(MEMORY) 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "enough"}')
ifeq ($(MEMORY) $(ROOM),/dev/shm enough)
export PYTEST_DEBUG_TEMPROOT ?= $(MEMORY)
endif
VENV := .venv
BIN := $(VENV)/bin
WHEEL_STAMP := $(VENV)/.wheel
SOURCES := $(shell find src -type f -not -name '*.pyc') pyproject.toml README.md LICENSE

.PHONY: demo test test-engines test-slow wide torch pythons benchmark lint types layers docs links check clean

# The wheel is built once, and that wheel is what the demo and the tests run.
$(WHEEL_STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1' build
	rm -rf dist build
	$(BIN)/python -m build -q --wheel --outdir dist .
	$(BIN)/python -m pip install -q --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pip install -q "$$(ls dist/*.whl)[elasticsearch,formats,gs,hf,milvus,ocr,parquet,places,postgres,qdrant,remote,s3,server,sftp,tables,vespa,video]"
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
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow and not torch' -n 2

$(VENV)/.slow: $(VENV)/.test pyproject.toml
	$(BIN)/python -m pip install -q --group slow
	touch $@

# What is too slow to wait for after every edit. Engines apart, so that their servers, which need
# 3 GB and a fifth of both cores even if nobody asks, have ended when pages are watched. By groups:
# a large library is filled once, by the process that has the tests of its engine.
test-engines: $(VENV)/.slow
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'slow and not wide and not torch' -n 2 --dist loadgroup tests/engines

test-slow: $(VENV)/.slow
	.ci/chromium
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'slow and not wide and not torch' -n 2 --ignore tests/engines

# What is too slow for every change: run it before a release. docs/testing.md has the last result.
wide: $(VENV)/.slow
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'wide and not torch' -n 2 --durations=0 -rA

# The wheel by itself, a short demo and a search, on each newer Python that is found.
pythons: $(WHEEL_STAMP)
	.ci/other_pythons dist/*.whl

# Against the reference implementations, in an environment of their own: pixseek needs no torch.
TORCH := .venv-torch
TORCH_VERSION ?= 2.13.0
TORCHVISION_VERSION ?= 0.28.0
$(TORCH)/.ready: $(WHEEL_STAMP) pyproject.toml
	test -x $(TORCH)/bin/python || $(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install -q --upgrade 'pip>=25.1'
	$(TORCH)/bin/python -m pip install -q torch==$(TORCH_VERSION)
	$(TORCH)/bin/python -m pip install -q --force-reinstall --no-deps dist/*.whl
	$(TORCH)/bin/python -m pip install -q "$$(ls dist/*.whl)[elasticsearch,formats,parquet,places,tables]" --group test --group torch
	# Without what they ask for: torchvision has no CPU build everywhere, and would bring a torch
	# for GPUs. What of it open_clip uses runs without its compiled part (tests/torch_tier/reference.py).
	$(TORCH)/bin/python -m pip install -q --no-deps open_clip_torch timm torchvision==$(TORCHVISION_VERSION)
	touch $@

torch: $(TORCH)/.ready
	$(TORCH)/bin/python -m pytest $(PYTEST_OPTIONS) -m torch tests/torch_tier

# Against its peers, each in an environment of its own (12 GB); about half an hour when quiet.
benchmark: $(VENV)/.slow
	$(BIN)/python -m pip install -q --group benchmarks
	$(BIN)/python benchmarks/run.py --out benchmark-results
	$(BIN)/python benchmarks/render.py benchmark-results/results.json

# pylint counts from zero: its 5 forbids six lines that say the same in two files.
lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pylint --score=no --disable=all --enable=duplicate-code --min-similarity-lines=5 src/pixseek/engines

types: $(VENV)/.lint
	$(BIN)/mypy

layers: $(VENV)/.lint
	$(BIN)/lint-imports

# The site of the documentation. A warning is an error: a link, an anchor or a picture that leads
# nowhere, a page that no list of contents names.
docs: $(VENV)/.docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site
	@echo "build/site/index.html"

$(VENV)/.docs: $(WHEEL_STAMP) pyproject.toml
	$(BIN)/python -m pip install -q --group docs
	touch $@

# Do the links to other sites still work? Needs a network, so it is not part of .ci/run.
links: $(VENV)/.docs
	$(BIN)/sphinx-build -q --keep-going -b linkcheck docs build/links

check: test lint types layers docs

clean:
	rm -rf $(VENV) $(TORCH) dist build
