# Two targets do all the set-up on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
VENDOR := hub/web/static/vendor/.installed

.PHONY: all setup demo test lint format speed pictures bench bench-pages faults faults-long cluster telemetry-kill lock clean peers

all: lint test

# --- set-up -----------------------------------------------------------------------------------------
setup: .venv/.installed .venv-grafana/.installed $(VENDOR)

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# grafana-client brings another urllib3 along, so it has a place of its own.
.venv-grafana/.installed: requirements/grafana.txt
	$(PYTHON) -m venv .venv-grafana
	.venv-grafana/bin/pip install --quiet --require-hashes -r requirements/grafana.txt
	touch $@

$(VENDOR): package.json package-lock.json
	npm ci --no-audit --no-fund --ignore-scripts --silent
	node hub/web/vendor.mjs
	touch $@

# Real peers that the tests start: Mosquitto, Chromium, Debian's PostgreSQL, and other people's SMS programs.
peers:
	./.ci/peers
	./bench/peers

# --- the main job -----------------------------------------------------------------------------------
demo: setup
	$(BIN)/almenara-hub demo

# --- checks -----------------------------------------------------------------------------------------
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests wait for real programs and compute in turns. One process, and what it prints as it comes: TEST_WORKERS=0.
TEST_WORKERS ?= 2

test: setup peers lint
	$(BIN)/pytest --durations=20 --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# Demands on speed, which mean something on a quiet machine alone; make test only logs the figures.
speed: setup peers
	ALMENARA_SPEED=1 $(BIN)/pytest -m speed

# The pictures of the guides, from a working console; make test throws them away.
pictures: setup peers
	ALMENARA_PICTURES=1 $(BIN)/pytest tests/test_hub_console.py -k pictures

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# --- measurements -------------------------------------------------------------------------------------
# Each writes its report to bench/report; README.md in bench/ says how to read it.
bench: setup
	./bench/peers
	$(BIN)/python -m bench run

bench-pages: setup
	$(BIN)/python -m bench.pages

faults: setup peers
	./bench/peers
	$(BIN)/python -m bench.faults --quick

faults-long: setup peers
	./bench/peers
	$(BIN)/python -m bench.faults --events 1000000

cluster: setup
	$(BIN)/python -m bench.cluster

# A million readings into each store, which is killed meanwhile; make test does it with a tenth.
telemetry-kill: setup peers
	ALMENARA_TELEMETRY_POINTS=1000000 $(BIN)/pytest tests/test_hub_telemetry.py -k kill --timeout 900

# --- dependencies -----------------------------------------------------------------------------------
lock: .venv/.installed
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --extra edge --extra hub --extra dev -o requirements/dev.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  -o requirements/grafana.txt requirements/grafana.in
	npm update --package-lock-only

clean:
	rm -rf .venv .venv-grafana node_modules hub/web/static/vendor build dist
