# `make run` and `make test` do all the set-up themselves, in .venv; nothing else needs to be installed first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORPUS ?= corpus
ENGINE ?= seed
OUT ?= trained/$(ENGINE)
JOBS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run demo test lint types check docs train bench interop lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: $(VENV)/.run ## the bot with DISCORD_TOKEN set (or in .env), the demo without
	@if [ -n "$$DISCORD_TOKEN" ] || grep -qsE '^ *DISCORD_TOKEN *= *[^ #]' .env; then exec $(BIN)/undertone run; else exec $(BIN)/undertone demo; fi

demo: $(VENV)/.run ## the demo, token or not
	@exec $(BIN)/undertone demo

test: $(VENV)/.dev ## all tests of the gate
	$(BIN)/pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

check: lint types test ## everything the gate runs

docs: $(VENV)/.dev ## write docs/reference.md from the code
	$(BIN)/python -m lab.reference

train: $(VENV)/.train ## train an engine: make train CORPUS=path/to/cremad ENGINE=default
	$(BIN)/undertone train --corpus $(CORPUS) --engine $(ENGINE) --out $(OUT)

bench: $(VENV)/.dev ## measure the engine and the packet path on this machine, as ratios
	$(BIN)/undertone bench

interop: $(VENV)/.dev ## optional, needs Node: @discordjs/voice as a second client of the loopback voice server
	cd tests/interop/discordjs && npm ci --ignore-scripts --no-audit --no-fund
	PYTHONPATH=. $(BIN)/python tests/interop/discordjs/run.py

lock: ## resolve the lock files anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-build --quiet -o requirements/run.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-build --quiet --extra dev --extra postgres -c requirements/run.lock -o requirements/dev.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-build --quiet --extra dev --extra postgres --extra train -c requirements/run.lock -o requirements/train.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info build dist

# One virtual environment; each stamp says which lock it was last filled from, so a changed lock fills it again.
$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "Undertone needs Python 3.11 or newer; say which with: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing what Undertone needs into $(VENV) (once; a few minutes) …"
	$(BIN)/pip install --quiet --require-hashes -r requirements/$*.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
