# `make run` and `make test` do all the set-up themselves, in .venv; nothing else needs to be installed first.
VENV := .venv
# PYTHON=… says which interpreter makes it; see requirements/install.sh for what is taken otherwise.
export PYTHON VENV
BIN := $(VENV)/bin
CORPUS ?= corpus
ENGINE ?= seed
OUT ?= trained/$(ENGINE)
# Three tests a core: most of them wait for people to talk, for a process to start, for an answer.
JOBS ?= 6
# Two a core: these compute and measure.
SLOW_JOBS ?= 4
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where bytecode is not kept, every process of the service and of the tests compiles all its modules anew.
export PYTHONDONTWRITEBYTECODE :=

# A Python that was named is not passed over in silence for the one that made the environment.
ifeq ($(origin PYTHON)-$(wildcard $(VENV)/bin/python),command line-$(VENV)/bin/python)
VERSION := -c "import sys; print('%d.%d' % sys.version_info[:2])"
HAS := $(shell $(VENV)/bin/python $(VERSION))
ifneq ($(shell $(PYTHON) $(VERSION) 2>/dev/null),$(HAS))
ifneq ($(MAKECMDGOALS),clean)
$(error $(VENV) was made with Python $(HAS), not with $(PYTHON); 'make clean' first)
endif
endif
endif

.PHONY: help run demo test slow lint types check docs train bench example interop ray browser lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: $(VENV)/.run ## the bot with DISCORD_TOKEN set (or in .env), the demo without
	@if [ -n "$$DISCORD_TOKEN" ] || grep -qsE '^ *(export +)?DISCORD_TOKEN *= *[^ #[:cntrl:]]' .env; then exec $(BIN)/undertone run; else exec $(BIN)/undertone demo; fi

demo: $(VENV)/.run ## the demo, token or not
	@exec $(BIN)/undertone demo

test: $(VENV)/.dev ## the tests; ARGS="-k deaf" chooses
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

slow: $(VENV)/.dev ## the tests that train, measure or run out of something; the gate runs them too
	$(BIN)/pytest -n $(SLOW_JOBS) -m slow $(ARGS)

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

check: lint types test slow ## everything the gate runs

docs: $(VENV)/.dev ## write docs/reference.md from the code
	$(BIN)/python -m lab.reference

train: $(VENV)/.dev ## train an engine: make train CORPUS=path/to/cremad ENGINE=default
	$(BIN)/undertone train --corpus $(CORPUS) --engine $(ENGINE) --out $(OUT)

bench: $(VENV)/.dev ## measure the engine and the packet path on this machine; writes docs/performance.md and scaling.md
	$(BIN)/undertone bench --write docs/performance.md --scale docs/scaling.md

example: $(VENV)/.dev ## optional, needs a package index: examples/hear.py in a fresh environment of its own
	PYTHONPATH=. $(BIN)/python -m tests.examples.fresh

interop: $(VENV)/.dev ## optional, needs Node: @discordjs/voice as a second client of the loopback voice server
	cd tests/interop/discordjs && npm ci --ignore-scripts --no-audit --no-fund
	PYTHONPATH=. $(BIN)/python tests/interop/discordjs/run.py

ray: $(VENV)/.dev ## optional, needs a package index: recognition on Ray Serve, in an environment of its own (.venv-ray)
	test -x .venv-ray/bin/python || $(BIN)/python -m venv .venv-ray
	.venv-ray/bin/pip install --quiet --no-deps --require-hashes -r requirements/server.lock
	.venv-ray/bin/pip install --quiet --no-build-isolation --editable '.[ray]' $(RAY_TOOLS)
	.venv-ray/bin/python -m pytest $(ARGS) tests/ray

RAY_TOOLS := pytest pytest-asyncio pytest-randomly pytest-timeout pytest-xdist
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-build --fork-strategy fewest --quiet
PICTURES ?=
browser: $(VENV)/.dev ## every page in Chromium, named checks; needs Chromium and npm. make browser PICTURES=docs/images takes pictures
	$(BIN)/pip install --quiet --disable-pip-version-check "playwright>=1.50"
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund --silent
	$(BIN)/python -m tests.browser.check $(if $(PICTURES),--pictures $(PICTURES))

lock: ## resolve the lock files anew (needs uv)
	$(LOCK) --extra dev --extra postgres --extra train -o requirements/dev.lock
	$(LOCK) -c requirements/dev.lock -o requirements/run.lock
	$(LOCK) --extra postgres -c requirements/dev.lock -o requirements/server.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) .venv-ray .mypy_cache .pytest_cache .ruff_cache *.egg-info build dist

# One virtual environment; each stamp says which lock it was last filled from, so a changed lock fills it again.
$(VENV)/.%: requirements/%.lock requirements/install.sh pyproject.toml
	@requirements/install.sh $*
	@touch $@
