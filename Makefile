# `make demo` and `make test` are the two commands of the README. Both set up .venv themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DATA   ?= $(if $(CROSSENT_DATA),mnist,digits)

.PHONY: demo test lint types mutants test-torch clean

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
	$(BIN)/python -m pytest -q -n 2

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

mutants: $(VENV)/.test  ## every deliberate fault of tests/mutants.txt must fail the tests
	$(BIN)/python tests/run_mutants.py

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
