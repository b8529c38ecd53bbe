# On a machine with Python 3.11 and a C++ compiler, `make rsc15` and `make test` do all that is needed.

PYTHON ?= python3.11
VENV   ?= .venv
# Further arguments: make rsc15 ARGS='--epochs 2', make test ARGS='-k losses'
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help check install rsc15 parity bench test lint docs

help:
	@echo "make install install into $(VENV), where the command gru4rec is then $(VENV)/bin/gru4rec"
	@echo "make rsc15   install into $(VENV) and run the RSC15 example on data that it makes itself"
	@echo "make parity  install into $(VENV) and show that the engines agree: recorded runs, self-test, comparison"
	@echo "make bench   install into $(VENV) and print how fast the engines and plain programs are, in one table"
	@echo "make test    install into $(VENV) and run the tests; with CI=true the slow ones too"
	@echo "make docs    install into $(VENV) and build the pages, into build/docs"
	@echo "make lint    install into $(VENV) and check the style of the code and its types"
	@echo "Settings: PYTHON=$(PYTHON) VENV=$(VENV) ARGS='further arguments of the command'"

check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo >&2 \
	  "error: Python 3.11 is needed, and '$(PYTHON)' does not run it; name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "error: '$(PYTHON)' cannot make a virtual environment; install its venv module (Debian: python3.11-venv)"; exit 1; }
	@command -v g++ >/dev/null || { echo >&2 \
	  "error: no C++ compiler: Aesara compiles its graphs with g++, which was not found (Debian: g++)"; exit 1; }
	@test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || { echo >&2 \
	  "error: no Python.h, against which Aesara compiles; install Python's headers (Debian: python3.11-dev)"; exit 1; }

# One stamp for each set of extras. The check is no prerequisite: it matters only when something is to be installed.
$(VENV)/.installed-%: setup.py
	@$(MAKE) --no-print-directory check
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -e ".[$*]"
	@touch $@

install: $(VENV)/.installed-jax

rsc15: $(VENV)/.installed-jax
	$(VENV)/bin/python examples/rsc15/run_rsc15.py $(ARGS)

# Through JAX: its graphs compile in seconds, those in C in half a minute each. The comparison itself uses C.
parity: $(VENV)/.installed-jax
	$(VENV)/bin/python -m parity golden --engine original-jax --engine keras
	$(VENV)/bin/python -m parity selftest
	$(VENV)/bin/python -m parity run --steps 12 --out runs/parity $(ARGS)

bench: $(VENV)/.installed-jax
	$(VENV)/bin/python -m benchmarks.bench $(ARGS)

test: $(VENV)/.installed-jax,test
	$(VENV)/bin/python -m pytest -n 2 $(if $(filter true,$(CI)),-m "not gpu") $(ARGS)

# Warnings are errors, and so is a cell of a notebook that fails.
docs: $(VENV)/.installed-jax,docs
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python -m sphinx -b html -W --keep-going docs build/docs $(ARGS)

lint: $(VENV)/.installed-jax,test
	$(VENV)/bin/python -m ruff check . $(ARGS)
	$(VENV)/bin/python -m mypy
