# Two commands on a machine that has Python 3.11 with pip and nothing else: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
SDK := tests/sdk/typescript
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH :=
# Tests start many processes, each of which would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check golden fidelity corpus conformance bench chaos fmt changelog clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/.demo ## Watch a poem arrive through four protocols; needs no key
	@$(BIN)/penstock demo

test: .venv/.test $(SDK)/node_modules/.installed ## Run every test; ARGS="-k name" for some of them
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: .venv/.check ## Format, lint, types, layers, change notes, golden files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/towncrier build --draft --version next > .venv/changes.md
	$(BIN)/python -m tools.golden --check

golden: .venv/.test ## Rewrite tests/golden from tests/recordings; read the diff
	@$(BIN)/python -m tools.golden

fidelity: .venv/.test ## Rewrite docs/fidelity.md; fails if a feature vanishes without a word
	@$(BIN)/python -m tools.fidelity

corpus: .venv/.test ## Report what is lost of streams recorded elsewhere; RECORDINGS=folder
	@test -n "$(RECORDINGS)" || { echo 'Say where the recordings are: make corpus RECORDINGS=folder'; exit 2; }
	@$(BIN)/python -m tools.corpus "$(RECORDINGS)"

conformance: .venv/.test $(SDK)/node_modules/.installed ## Rewrite docs/conformance.md; RECORDINGS=folder for those too
	@$(BIN)/python -m tools.conformance $(RECORDINGS)

bench: .venv/.demo ## Compare CPU, latency and memory with nginx
	@$(BIN)/python -m bench $(ARGS)

chaos: .venv/.test $(SDK)/node_modules/.installed ## Break streams in every way, and see what clients are told
	@$(BIN)/python -m chaos $(ARGS)

fmt: .venv/.check ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

changelog: .venv/.check ## Gather changes/ into CHANGELOG.md; VERSION=1.2.3
	@test -n "$(VERSION)" || { echo 'Say which version: make changelog VERSION=1.2.3'; exit 2; }
	$(BIN)/towncrier build --yes --version "$(VERSION)"

clean: ## Remove everything that was made
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(SDK)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is remembered by empty files, so that nothing is installed twice.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penstock needs Python 3.11 or newer; try make PYTHON=python3.11")'
	@echo 'Making .venv ...'
	@$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Installing Penstock ...'
	@$(INSTALL) -e .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Installing Penstock and what its tests need ...'
	@$(INSTALL) -e '.[test]'
	@touch $@ .venv/.demo

.venv/.check: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Installing Penstock and what its checks need ...'
	@$(INSTALL) -e '.[test,check]'
	@touch $@ .venv/.test .venv/.demo

$(SDK)/node_modules/.installed: $(SDK)/package.json | .venv/.test
	@echo 'Installing the TypeScript SDKs ...'
	@cd $(SDK) && npm install --silent
	@touch $@
