# One command a purpose; each installs what it needs into .venv by itself, once.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/peers
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

# Both take the environment as $(1); uv is used where there is one, because it is faster.
HAS_UV := command -v uv >/dev/null
make_venv = if $(HAS_UV); then uv venv --quiet --allow-existing --python "$(PYTHON)" $(1); else "$(PYTHON)" -m venv $(1); fi
install = if $(HAS_UV); then uv pip install --quiet --python $(1)/bin/python $(2); \
  else $(1)/bin/python -m pip install --quiet $(2); fi
pin = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url $(UPGRADE) \
  --custom-compile-command "make requirements" $(1)

.PHONY: help demo up test mutants chaos soak check fix bench requirements clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Train a model through a pipeline, from nothing to the evaluation
	@$(BIN)/headway demo

up: $(INSTALLED) ## Run everything on this machine until Ctrl-C
	@$(BIN)/headway up

test: $(INSTALLED) ## Run all tests
	@$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

mutants: $(INSTALLED) ## Plant every known defect, in the model and in the code, and see the tests notice
	@$(BIN)/python -m tests.properties.simulation --mutants
	@$(BIN)/python -m tests.properties.mutants

chaos: $(INSTALLED) $(PEERS)/celery/.installed ## Let every fault happen to real processes, judge them, and look at arq and Celery
	@$(BIN)/python -m tests.chaos.campaign --celery $(PEERS)/celery/bin/python $(ARGS)

soak: $(INSTALLED) ## The same faults by two and three, for half an hour
	@$(BIN)/python -m tests.chaos.campaign --minutes 30 $(ARGS)

check: $(INSTALLED) ## Check format, lint, types and who imports whom
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

fix: $(INSTALLED) ## Format, and repair what the linter can repair
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

BENCHED := celery dbos prefect
bench: $(INSTALLED) $(BENCHED:%=$(PEERS)/%/.installed) ## Measure Headway beside its peers (ARGS=…)
	@$(BIN)/python -m bench --arq $(BIN)/python $(foreach peer,$(BENCHED),--$(peer) $(PEERS)/$(peer)/bin/python) $(ARGS)

requirements: ## Pin the dependencies of pyproject.toml again (needs uv; UPGRADE=--upgrade for newer ones)
	@$(call pin,pyproject.toml --output-file requirements.txt)
	@$(call pin,pyproject.toml --group dev --constraints requirements.txt --output-file requirements-dev.txt)
	@$(call pin,--group build --constraints requirements-dev.txt --output-file requirements-build.txt)
	@$(call pin,--group celery --output-file bench/peers/requirements/celery.txt)
	@$(call pin,--group dbos --output-file bench/peers/requirements/dbos.txt)
	@$(call pin,--group prefect --output-file bench/peers/requirements/prefect.txt)

clean: ## Remove .venv and what the tools left; .headway and its data stay
	@rm -rf $(VENV) dist bench/results tests/chaos/results .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Headway needs Python 3.11 or newer; none of these is: $(CANDIDATES)." \
	  "Name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Installing into $(VENV), once. This takes a minute or two." >&2
	@$(call make_venv,$(VENV))
	@$(call install,$(VENV),--require-hashes -r requirements-dev.txt)
	@$(call install,$(VENV),--no-deps --no-build-isolation -e .)
	@touch $@

$(PEERS)/%/.installed: bench/peers/requirements/%.txt
	@mkdir -p $(PEERS)
	@$(call make_venv,$(@D))
	@$(call install,$(@D),--require-hashes -r $<)
	@touch $@
