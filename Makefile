# What people type. Each target sets up what it needs and is quick when that is there already.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
# Most tests wait for processes and servers: more workers than this machine's cores keep them busy.
PYTEST_WORKERS ?= 3
# Tests, the demo and `make up` start many processes: without it each of them would compile every module anew.
export PYTHONDONTWRITEBYTECODE =
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo up test test-unit chaos bench-bus bench-bots bench-match lint services stop clean

define LINT
$(VENV)/ruff check .
$(VENV)/ruff format --check .
$(VENV)/mypy .
$(VENV)/lint-imports
$(VENV)/python manage.py makemigrations --check --dry-run
bin/lint-deploy
bin/lint-compose
endef

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r t h; do printf '%-18s %s\n' "$$t" "$$h"; done

demo: ## the whole job against a local Telegram and a local LLM (ARGS="--json FILE")
	@$(PYTHON) bin/setup demo
	@$(PYTHON) bin/services start
	@$(VENV)/python manage.py migrate --verbosity 0
	@$(VENV)/python manage.py demo $(ARGS)

up: ## web, relay, workers, beat and Flower in the foreground, until Ctrl-C
	@$(PYTHON) bin/setup demo
	@$(PYTHON) bin/services start
	@$(VENV)/python manage.py migrate --verbosity 0
	@$(VENV)/python manage.py up $(ARGS)

test: ## lint, then all tests (ARGS="tests/unit -k name" for some)
	$(PYTHON) bin/setup test
	$(PYTHON) bin/services start
	$(LINT)
	$(VENV)/python -m pytest --numprocesses=$(PYTEST_WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS)

test-unit: ## the tests that need no database, without lint
	@$(PYTHON) bin/setup test
	@$(PYTHON) bin/services start
	@$(VENV)/python -m pytest tests/unit $(ARGS)

chaos: ## everything is killed, cut and stopped under load, some minutes (CHAOS_EVENTS=10500, CHAOS_SEED=n repeats a run)
	@$(PYTHON) bin/setup test
	@$(PYTHON) bin/services start
	@CHAOS_EVENTS=$${CHAOS_EVENTS:-10500} $(VENV)/python -m pytest tests/chaos -s $(ARGS)

bench-bus: ## the bus beside Celery, FastStream, taskiq, dramatiq and aio-pika (ARGS=--quick: under two minutes)
	@$(PYTHON) bin/setup bench
	@$(PYTHON) bin/services start
	@$(VENV)/python -m bench $(ARGS)

bench-bots: ## 200 sessions in one bots worker, and the gate with a million deliveries (ARGS=--quick: under two minutes)
	@$(PYTHON) bin/setup demo
	@$(PYTHON) bin/services start
	@$(VENV)/python -m bench.bots $(ARGS)

bench-match: ## matching of keywords beside stems, regular expressions and Aho-Corasick (ARGS=--quick: fewer messages)
	@$(PYTHON) bin/setup bench
	@$(VENV)/python -m bench.match $(ARGS)

lint: ## ruff, mypy, import-linter, migrations, deployment and compose checks
	@$(PYTHON) bin/setup test
	@$(PYTHON) bin/services start
	$(LINT)

services: ## this clone's private RabbitMQ and PostgreSQL
	@$(PYTHON) bin/services start
	@$(PYTHON) bin/services status

stop: ## end the private services; their data stays
	@$(PYTHON) bin/services stop

clean: ## end the services and remove their data, .venv and caches
	@$(PYTHON) bin/services remove
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
