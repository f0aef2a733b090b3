# Everything happens in a virtual environment in .venv; only python3, venv and make are assumed.
PYTHON ?= $(shell for p in python3.13 python3.14 python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test soak lab check format deb completions schemas picture bench bench-check docs reference messages clean

help:
	@echo "make demo    load a disk image onto 8 virtual nodes of this machine"
	@echo "make test    run all tests"
	@echo "make soak    load on 200 simulated nodes, again and again, a tenth of them faulty"
	@echo "             and watch nodes for 10 minutes at 50 times the pace"
	@echo "make lab     as root: QEMU machines that boot over PXE, from the ramdisk to a saved image (LAB=options)"
	@echo "             or, with LAB=--setup, from a bare Debian to a loaded node, by docs/site-setup.md"
	@echo "make check   lint, format, types and import layers"
	@echo "make format  format the code"
	@echo "make deb     a Debian package for this release of Debian, in dist/"
	@echo "make completions  write etc/completion anew"
	@echo "make docs    the documentation as HTML, in build/docs"
	@echo "make reference  write docs/reference and the manual pages anew, from the code"
	@echo "make schemas write docs/*.schema.json anew"
	@echo "make picture record the README's picture anew (docs/pictures)"
	@echo "make messages  write docs/reference/messages.md anew (tests/messages/catalogue.py tells more)"
	@echo "make bench   measure speed, and write docs/benchmarks.md (ONLY=part RUNS=n)"
	@echo "make bench-check  measure, and fail when a committed ratio has become much worse"
	@echo "make clean   remove what the others made"

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "imaging needs Python 3.11 to 3.14 (set PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/imaging-testbed demo

# a file at a time on each core: most of the time is spent waiting for virtual nodes to boot
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

soak: $(STAMP)
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.monitor_soak

lab: $(STAMP)
	$(BIN)/python -m tests.lab --packages $(VENV)/packages $(LAB)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

deb: $(STAMP)
	etc/debian/build $(BIN)/python

completions: $(STAMP)
	$(BIN)/python -m imaging.cli.completion_scripts etc/completion

docs: $(STAMP)
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

reference: $(STAMP)
	$(BIN)/python -m docs.generate

schemas: $(STAMP)
	$(BIN)/python -m imaging.feedback.scripts.schemas docs
	$(BIN)/python -m imaging.monitor.schema docs

picture: $(STAMP)
	$(BIN)/python -m tests.pictures

messages: $(STAMP)
	$(BIN)/python -m tests.messages.page

BENCH := $(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))

bench: $(STAMP)
	$(BENCH) --write

bench-check: $(STAMP)
	$(BENCH) --check

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
