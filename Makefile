# make run: serve mail here, from examples/quickstart.yaml. make test: the tests. CONTRIBUTING.md has the rest.

SHELL := /bin/sh
VENV := .venv
# where this stands, what is pinned is installed; a changed pin installs again
STAMP := $(VENV)/.installed-$(shell cat requirements/dev.txt pyproject.toml | cksum | tr -c '0-9\n' -)

MANIFEST ?= examples/quickstart.yaml
DATA ?= data
ARGS ?=

# a container's image often says so; every process here would compile all of its 400 modules first, half a second of CPU
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-slow simulate lint types generated clean
.DELETE_ON_ERROR:

run: $(STAMP)
	@exec $(VENV)/bin/mail-operator local $(MANIFEST) --data $(DATA) $(ARGS)

test: $(STAMP)
	$(VENV)/bin/pytest -m "not slow and not cluster" $(ARGS)

test-slow: $(STAMP)
	$(VENV)/bin/pytest -m slow $(ARGS)

# pods, crashes and a failing bucket in virtual time; the same for the same seeds
simulate: $(STAMP)
	$(VENV)/bin/python -m tests.simulation --seeds $(or $(SEEDS),200) --first $(or $(FIRST),0)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	@# not from here, where the folder mailpod/ would be taken for the package
	cd operator && ../$(VENV)/bin/lint-imports --cache-dir ../.import_linter_cache --config ../pyproject.toml

types: $(STAMP)
	$(VENV)/bin/mypy

# crds/ and the chart's copy are what the models say, its dashboards what their code says
generated: $(STAMP)
	$(VENV)/bin/python -m mailoperator.crd --check
	$(VENV)/bin/python -m charts.dashboards --check

.venv: $(STAMP)

$(STAMP):
	@set -e; \
	for python in $(PYTHON) python3.11 python3 python3.12 python3.13; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Mailpod needs Python 3.11 or newer, and there is none in PATH: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$($$found --version): once, about a minute"; \
	[ -x $(VENV)/bin/python ] || $$found -m venv $(VENV); \
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .; \
	rm -f $(VENV)/.installed-*; \
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

include tests/cluster/cluster.mk
