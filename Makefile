# Every way to set up, run and check the project. `make` alone lists them. Needs Python >= 3.11 and make, nothing else.

PYTHON ?= python3
LOCKFLAGS ?=
PYTEST_ARGS ?=

IN_VENV := .venv/bin/python
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed

# The dependencies' byte code stays inside .venv. Where the environment forbids writing it, every process (and every
# notebook kernel) would compile pandas and plotly anew: 7 seconds an import instead of one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv report lab test check docs bench lock clean
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

venv: $(DEV) ## make .venv with everything that running and testing needs

report: $(RUNTIME) ## extract the sample tenant, build the warehouse, run the notebooks, write the HTML report
	@$(IN_VENV) -m appgov_lib demo

lab: $(RUNTIME) ## open the notebooks in JupyterLab, on the sample tenant
	@test -d "$${APPGOV_HOME:-.}/data/sample/warehouse" || $(IN_VENV) -m appgov_lib demo
	@APPGOV_HOME="$${APPGOV_HOME:-$$PWD}" $(IN_VENV) -m jupyterlab --notebook-dir=notebooks --LabApp.default_url=/lab/tree/00_start.ipynb

test: $(DEV) ## run every test (PYTEST_ARGS='-k name' for some of them)
	@$(IN_VENV) -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

check: $(DEV) ## the one definition of clean: format, lint, types, docstrings, generated docs, tests
	@sh tools/check.sh

docs: $(DEV) ## write docs/reference/ anew from the code
	@$(IN_VENV) tools/make_docs.py

bench: $(DEV) ## print the benchmark table
	@$(IN_VENV) tools/bench.py

lock: ## resolve the two lock files (needs uv; LOCKFLAGS=--upgrade for newer versions)
	uv pip compile pyproject.toml --group build $(LOCKFLAGS) --quiet --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command 'make lock' --output-file requirements.txt
	uv pip compile pyproject.toml --group build --extra dev --constraints requirements.txt $(LOCKFLAGS) --quiet --universal \
		--python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --output-file requirements-dev.txt

clean: ## remove .venv and caches; data/ and reports/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find appgov_lib tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements.txt pyproject.toml tools/venv.sh
	@PYTHON='$(PYTHON)' sh tools/venv.sh requirements.txt
	@touch $@

# The larger lock holds the smaller one, version for version (a test compares them).
$(DEV): requirements-dev.txt pyproject.toml tools/venv.sh
	@PYTHON='$(PYTHON)' sh tools/venv.sh requirements-dev.txt
	@touch $(RUNTIME) $@
