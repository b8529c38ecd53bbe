# On a machine with a Python of 3.11 to 3.13 and a C++ compiler, `make rsc15` and `make test` do all that is needed.

# The first that runs and can make an environment, 3.11 before the others: there `original` runs on Aesara, on PyTensor
# elsewhere. pyenv's are looked for where no shim of its own runs them.
MINORS ?= 11 12 13
SEARCHED = for minor in $(MINORS); do for python in "python3.$$minor" \
  $$(ls -d "$${PYENV_ROOT:-$${HOME:-/nowhere}/.pyenv}/versions/3.$$minor".*/bin/python 2>/dev/null | sort -rV) python3; do \
  "$$python" -c "import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, $$minor))" 2>/dev/null && \
  { echo "$$python"; exit; }; done; done
ifndef PYTHON
PYTHON := $(shell $(SEARCHED))
endif
VENV   ?= .venv
# Further arguments: make rsc15 ARGS='--epochs 2', make test ARGS='-k losses'
ARGS   ?=
# make golden: what compiled C replays.
IN_C   ?= $(addprefix parity/recordings/,rsc15-bpr-max.npz rsc15-cross-entropy.npz dropout-both-constrained.npz)
# make gpu: the Python that has JAX with CUDA.
GPU_PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help python check install rsc15 parity golden bench test lint docs gpu-wheels gpu

help:
	@echo "make install install into $(VENV), where the command gru4rec is then $(VENV)/bin/gru4rec"
	@echo "make rsc15   install into $(VENV) and run the RSC15 example on data that it makes itself"
	@echo "make parity  install into $(VENV) and show that the engines agree: recorded runs, self-test, comparison"
	@echo "make golden  install into $(VENV) and replay the recorded runs, nothing else"
	@echo "make bench   install into $(VENV) and print how fast the engines and plain programs are, in one table"
	@echo "make test    install into $(VENV) and run the tests; with CI=true the slow ones too"
	@echo "make docs    install into $(VENV) and build the pages, into build/docs"
	@echo "make lint    install into $(VENV) and check the style of the code and its types"
	@echo "make gpu-wheels, then make gpu on a machine that has a GPU and no network: see docs/gpu.md"
	@echo "Settings: PYTHON=$(PYTHON) VENV=$(VENV) ARGS='further arguments of the command'"

# Which Python it would be; nothing where none of MINORS is there.
python:
	@echo "$(PYTHON)"

check:
	@test -n "$(PYTHON)" || { echo >&2 \
	  "error: no Python of 3.11 to 3.13 was found that can make a virtual environment (Debian: python3.11, python3.11-venv); name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { echo >&2 \
	  "error: Python 3.11, 3.12 or 3.13 is needed, and '$(PYTHON)' runs none of them; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "error: '$(PYTHON)' cannot make a virtual environment; install its venv module (Debian: python3.11-venv)"; exit 1; }
	@command -v g++ >/dev/null || { echo >&2 \
	  "error: no C++ compiler: original compiles its graphs with g++, which was not found (Debian: g++)"; exit 1; }
	@test -f "$$("$(PYTHON)" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || { echo >&2 \
	  "error: no Python.h, against which original's graphs are compiled; install Python's headers (Debian: python3.11-dev)"; exit 1; }

# One stamp for each set of extras. The check is no prerequisite: it matters only when something is to be installed.
$(VENV)/.installed-%: setup.py
	@$(MAKE) --no-print-directory check
	test -x $(VENV)/bin/pip || "$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/python -m pip install -e ".[$*]"
	@touch $@

install: $(VENV)/.installed-original,jax

rsc15: $(VENV)/.installed-original,jax
	$(VENV)/bin/python examples/rsc15/run_rsc15.py $(ARGS)

# Through JAX: its graphs compile in seconds, those in C in half a minute each. The comparison itself uses C.
parity: $(VENV)/.installed-original,jax
	$(VENV)/bin/python -m parity golden --engine original-jax --engine keras
	$(VENV)/bin/python -m parity selftest
	$(VENV)/bin/python -m parity run --steps 12 --out runs/parity $(ARGS)

# The recordings by original through JAX and by Keras, and three of them in compiled C, which takes its time.
golden: $(VENV)/.installed-original,jax
	$(VENV)/bin/python -m parity golden --engine original-jax --engine keras parity/recordings $(ARGS)
	$(VENV)/bin/python -m parity golden --engine original $(IN_C) $(ARGS)

bench: $(VENV)/.installed-original,jax
	$(VENV)/bin/python -m benchmarks.bench $(ARGS)

test: $(VENV)/.installed-original,jax,test
	$(VENV)/bin/python -m pytest -n 2 $(if $(filter true,$(CI)),-m "not gpu") $(ARGS)

# Warnings are errors, and so is a cell of a notebook that fails.
docs: $(VENV)/.installed-original,jax,docs
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python -m sphinx -b html -W --keep-going docs build/docs $(ARGS)

lint: $(VENV)/.installed-original,jax,test
	$(VENV)/bin/python -m ruff check . $(ARGS)
	$(VENV)/bin/python -m mypy

# What a machine without a network lacks: docs/gpu.md says which, and why.
gpu-wheels:
	@$(MAKE) --no-print-directory check
	rm -rf gpu-wheels
	"$(PYTHON)" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.12 \
	  $(foreach name,manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014,--platform $(name)_x86_64) \
	  --dest gpu-wheels --requirement benchmarks/gpu/wheels.txt
	@du -sh gpu-wheels

# There: no environment is made, as one of a Python that is itself of an environment would not see its packages.
gpu:
	@test -d gpu-wheels || { echo >&2 "error: no folder gpu-wheels; make gpu-wheels makes it where there is a network"; exit 2; }
	$(GPU_PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target gpu-site gpu-wheels/*.whl
	PYTHONPATH=gpu-site $(GPU_PYTHON) -m benchmarks.gpu $(ARGS)
