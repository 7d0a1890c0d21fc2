# Two targets do all the set-up on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
VENDOR := hub/web/static/vendor/.installed

.PHONY: all setup demo test lint format types imports units lock clean peers

all: lint test

# --- set-up -----------------------------------------------------------------------------------------
setup: .venv/.installed $(VENDOR)

.venv/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENDOR): package.json package-lock.json
	npm ci --no-audit --no-fund --ignore-scripts --silent
	node hub/web/vendor.mjs
	touch $@

# Real peers that the tests start: Mosquitto, Chromium and Debian's PostgreSQL.
peers:
	./.ci/peers

# --- the main job -----------------------------------------------------------------------------------
demo: setup
	$(BIN)/almenara-hub demo

# --- checks -----------------------------------------------------------------------------------------
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup peers lint
	$(BIN)/pytest

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# --- dependencies -----------------------------------------------------------------------------------
lock: .venv/.installed
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --extra edge --extra hub --extra dev -o requirements/dev.txt pyproject.toml
	npm update --package-lock-only

clean:
	rm -rf .venv node_modules hub/web/static/vendor build dist
