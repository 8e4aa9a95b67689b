# Every command sets up what it needs by itself, and again only what changed. `make` lists them.
SHELL := /bin/bash
PYTEST := .venv/bin/python -m pytest
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-slow test-gpu chaos chaos-seeds nightly check format bench lock wheel clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## set up what `make run` needs (it does so by itself)
	@scripts/setup.sh run

setup-dev: ## set up what tests and checks need (they do so by themselves)
	@scripts/setup.sh dev

run: setup ## start Safelight here: API, worker and web page; PROMPT="…" for a first picture
	@exec .venv/bin/safelight serve

test: setup-dev ## the test suite, against real components
	@$(PYTEST) --ignore=tests/gpu -m "not slow" -n $(WORKERS) --dist worksteal

test-slow: setup-dev ## browsers, fuzzing, short chaos and long runs of real processes
	@scripts/setup.sh clients
	@$(PYTEST) --ignore=tests/gpu -m slow -n $(WORKERS) --dist loadfile

test-gpu: setup-dev ## the plug for your own GPUs, with tiny models: fetches torch and diffusers
	@scripts/setup.sh gpu
	@.cache/gpu/bin/python -m pytest tests/gpu

chaos: setup-dev ## a long run of random faults; CHAOS_SEED, CHAOS_JOBS and CHAOS_FAULTS say which
	@CHAOS_JOBS=$${CHAOS_JOBS:-2000} CHAOS_FAULTS=$${CHAOS_FAULTS:-100} $(PYTEST) -s tests/acceptance/test_chaos.py

chaos-seeds: ## long chaos once for each seed from 1 to CHAOS_SEEDS, which is 20
	@for seed in $$(seq $${CHAOS_SEEDS:-20}); do CHAOS_SEED=$$seed $(MAKE) --no-print-directory chaos || exit; done

nightly: chaos bench ## long chaos and the benches

check: setup-dev ## formatting, lint, types, layers, shell
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/basedpyright
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/shellcheck .ci/run scripts/*.sh

format: setup-dev ## format the code and mend what lint can mend
	@.venv/bin/ruff check --fix --quiet
	@.venv/bin/ruff format

bench: setup-dev ## measure; prints tables
	@.venv/bin/python -m bench

lock: ## write the lock files anew; UPGRADE=1 takes newer versions
	@scripts/lock.sh

wheel: setup ## build the wheel into dist/
	@.tools/bin/uv build --quiet --wheel --build-constraints requirements-build.lock

clean: ## remove everything that was set up or built; data stays
	@rm -rf .venv .tools .cache node_modules dist .pytest_cache .ruff_cache .hypothesis \
	  .import_linter_cache .grimp_cache src/safelight/providers/local/sketch/data src/safelight/web/static/vendor
	@find . -name __pycache__ -prune -exec rm -rf {} +
