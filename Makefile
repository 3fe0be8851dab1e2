# What a person types here. Every target sets up what it needs first; `make` alone lists them.

PYTHON ?= python3
BIN    := .venv/bin
LOCKS  := requirements.txt requirements-dev.txt requirements-next.txt

# The one place that holds Django to its LTS; requirements-next.txt is resolved without it.
DJANGO_LTS := django<5.3

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-next bench chaos fuzz lint format schemas lock

help: ## List the targets
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { split($$1, name, ":"); printf "make %-10s %s\n", name[1], $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed ## Make .venv from the lock (costs nothing when nothing changed)

run: setup ## Run all processes in the foreground on port 8080 (PORT=… changes it)
	@$(BIN)/python -m devstack run

demo: setup ## Show the whole way of each event, on real parts, and end
	@$(BIN)/python -m devstack demo

# A test waits more than it computes: three workers fill two cores. Each worker starts parts of its own, which a run that
# ARGS narrows has no time for.
SPREAD = $(if $(ARGS),,-n 3 --dist worksteal)

test: setup ## Run the test suite on real parts (ARGS="-k name" narrows it)
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

bench: setup ## Measure relay, consumer, API and equal times of answers (ARGS=--quick for a short run)
	@$(BIN)/python -m benchmarks relay $(ARGS)
	@$(BIN)/python -m benchmarks consumer $(ARGS)
	@$(BIN)/python -m benchmarks api $(ARGS)
	@$(BIN)/python -m benchmarks timing $(ARGS)

chaos: setup ## Kill relays, broker and PostgreSQL 200 times under load, and judge (ARGS=--quick: 12 times)
	@$(BIN)/python -m benchmarks chaos $(ARGS)

fuzz: setup ## Ask a live web process all that docs/openapi.json tells, for minutes (ARGS="--seed 7")
	@$(BIN)/python -m benchmarks fuzz $(ARGS)

# Nothing of these asks a database, but for the consistency check of makemigrations, whose warning is off.
lint schemas: export DEBUG := on
lint schemas: export DATABASE_URL := postgres://nobody@127.0.0.1:1/none
lint schemas: ASYNCAPI := --asyncapi docs/asyncapi.json

lint: setup ## Check formatting, lint, types, imports, migrations, schemas and the locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	cd tests/second_project && SECRET_KEY=none PYTHONPATH=.:../.. ../../$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -W 'ignore:Got an error checking a consistent migration history' manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py schemas --check $(ASYNCAPI)
	$(BIN)/python -m security.audit $(LOCKS)

format: setup ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

schemas: setup ## Write each event's JSON Schema, docs/asyncapi.json and docs/openapi.json from the code
	$(BIN)/python manage.py schemas $(ASYNCAPI)
	$(BIN)/python manage.py spectacular --format openapi-json --file docs/openapi.json --validate --fail-on-warn

# ── locks ───────────────────────────────────────────────────────────────────────────────────

RESOLVE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate $(UPGRADE)

lock: setup ## Resolve the locks again (UPGRADE=--upgrade takes newer versions)
	echo '$(DJANGO_LTS)' | $(RESOLVE) --python-version 3.11 pyproject.toml - -o requirements.txt
	$(RESOLVE) --python-version 3.11 pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(RESOLVE) --python-version 3.12 pyproject.toml --group dev -o requirements-next.txt

# ── environments ────────────────────────────────────────────────────────────────────────────

# $(call make_environment,FOLDER,PYTHON,LOCK). uv comes by pip from its own pin and hashes in the
# lock, and installs exactly the lock. Bytecode is compiled now, not at each process's first start.
define make_environment
	@echo "$(1): installing the lock …"
	@$(1)/bin/python -c '' 2>/dev/null || $(2) -m venv --clear $(1)
	@sed -n '/^uv==/,/[^\]$$/p' $(3) > $(1)/uv.txt
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)/uv.txt
	@VIRTUAL_ENV='$(CURDIR)/$(1)' $(1)/bin/uv pip sync --quiet --require-hashes --compile-bytecode $(3)
	@touch $@
endef

.venv/installed: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(call make_environment,.venv,$(PYTHON),requirements-dev.txt)

# The first Python >= 3.12 that runs and can make environments.
find_next_python = for python in python3.14 python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python3); do \
  "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { echo "$$python"; break; }; done

.venv-next/installed: requirements-next.txt
	$(call make_environment,.venv-next,$(NEXT_PYTHON),requirements-next.txt)

# What Django has a part in: each endpoint and page, each command, rows, triggers and handlers. What is ours alone (faults, processes,
# statements of our own, Kafka, attacks) is the same under any Django.
NEXT_TESTS := tests/unit \
  $(foreach name,admin admin_users administration administration_lists leaving lists login profile profile_changes register \
  sessions well_known,tests/acceptance/test_$(name).py) \
  $(foreach name,accounts_retention batch_publishing changepassword createsuperuser dead_letters events_admin handlers inbox_retention \
  login_handlers mail_kinds outbox_operations outbox_retention profile_handler publish user_triggers users_command warnings,\
  tests/integration/test_$(name).py)

test-next: ## Run what Django has a part in on the newest Django, where a Python >= 3.12 is found
	@python="$$($(find_next_python))"; \
	if [ -z "$$python" ]; then echo "test-next was not run: no Python 3.12 or newer on PATH or under ~/.pyenv/versions"; exit 0; fi; \
	$(MAKE) --no-print-directory .venv-next/installed NEXT_PYTHON="$$python" && .venv-next/bin/python -m pytest $(SPREAD) $(NEXT_TESTS) $(ARGS)
