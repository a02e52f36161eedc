# Two commands are all a fresh machine needs: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
SERVE  ?= 1
RUNS   ?= 20
PARALLEL := -n 2 --dist worksteal
MEASURED := $(BIN)/python -m slipcover --branch --source backend,workers --json --out .coverage.json -m pytest
REPORT := $(BIN)/python .ci/coverage_report.py .coverage.json
MKDOCS := NO_MKDOCS_2_WARNING=1 $(abspath $(BIN))/python -m mkdocs
PRODUCTS ?= 10000
MINUTES ?= 10
CASES  ?= 5000
SKEW   ?= 0
EXTRAS := test,dev,docs

.DEFAULT_GOAL := help
.PHONY: help setup demo fashion-mnist serve test coverage test-unit test-integration test-acceptance test-migration test-all prove-kills prove-catalogue prove-siege prove-contract prove-reindex prove-gpu prove-compose prove-stores docs check format lock record-release sample clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make demo CATALOGUE=path   the same with your own styles.csv and images/"
	@echo "  make demo SERVE=0          end after the contact sheet"

setup: $(BIN)/.installed ## Make the virtual environment and install everything into it

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: setup ## From a sample catalogue to similar items: import, embed, contact sheet, serve
	$(BIN)/lookalike demo $(if $(CATALOGUE),--catalogue '$(CATALOGUE)') $(if $(filter 0,$(SERVE)),--no-serve)

fashion-mnist: setup ## Import and embed 70,000 images, draw their map (FILES=folder, else downloaded)
	$(BIN)/lookalike fashion-mnist $(if $(FILES),'$(FILES)')

serve: setup ## Serve the API on 127.0.0.1:8000
	$(BIN)/lookalike serve

test: setup ## Run all fast tests
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL)

coverage: setup ## Run them and print which lines and branches ran
	$(MEASURED) -m 'not slow' $(PARALLEL)
	$(REPORT)

test-unit: setup ## Run the fast tests that need no database, network or other process
test-integration: setup ## Run those with real databases, engines and decoders in one process
test-acceptance: setup ## Run those of a whole installation, as processes
test-migration: setup ## Run those of the schema's history
test-unit test-integration test-acceptance test-migration:
	$(BIN)/python -m pytest -m '$(@:test-%=%) and not slow' $(PARALLEL) tests/$(@:test-%=%)

test-all: setup ## Run the slow tests too (LOOKALIKE_SHARED_DATA: a folder with real catalogues)
	$(BIN)/python -m pytest

prove-kills: setup ## Kill everything at random moments of 20 imports (RUNS=20, or SEED=7 again)
	PROVE_KILLS_RUNS=$(RUNS) PROVE_KILLS_SEED=$(SEED) $(BIN)/python -m pytest tests/acceptance/test_workers_kills.py -s

prove-catalogue: setup ## Import and index PRODUCTS=10000 real products over the command line, with a kill
	PROVE_CATALOGUE_PRODUCTS=$(PRODUCTS) $(BIN)/python -m pytest tests/acceptance/test_real_catalogue.py -s

prove-siege: setup ## All attacks and mishaps at once, for MINUTES=10, beside real traffic
	PROVE_SIEGE_MINUTES=$(MINUTES) $(BIN)/python -m pytest tests/acceptance/test_siege.py -s

prove-contract: setup ## Send CASES=5000 requests made from the API's description, on both databases
	PROVE_CONTRACT_CASES=$(CASES) $(BIN)/python -m pytest tests/acceptance/test_contract.py -s

prove-reindex: setup ## Re-index PRODUCTS=10000 real products, with kills, perhaps wrong clocks (SKEW=45)
	PROVE_REINDEX_SKEW=$(SKEW) PROVE_REINDEX_PRODUCTS=$(PRODUCTS) $(BIN)/python -m pytest tests/acceptance/test_reindex_live.py -s

prove-gpu: setup ## Compare an NVIDIA GPU's vectors with the CPU's, and measure (minutes; 3: no GPU)
	$(BIN)/python benchmarks/gpu.py

prove-stores: setup ## Stop, pause, kill, fill, slow and cut each store; then restart all (STORES=qdrant)
	PROVE_STORES=$(or $(STORES),all) $(BIN)/python -m pytest tests/acceptance/test_stores.py -s

prove-compose: setup ## Build, start, use, kill, restart and upgrade docker-compose.yml (needs Docker)
	PROVE_COMPOSE=1 $(BIN)/python -m pytest tests/acceptance/test_compose_proof.py -s

docs: setup ## Build the manual into build/manual; a link that leads nowhere is an error
	cd docs/site && $(MKDOCS) build --quiet

check: setup ## Lint, format, types, imports between folders, manual, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) docs
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL)

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Write the newest releases into constraints.txt (minutes; `make setup` then installs them)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --dry-run --ignore-installed --report $(VENV)/lock.json '.[$(EXTRAS)]'
	$(BIN)/python .ci/lock.py < $(VENV)/lock.json > constraints.txt

record-release: setup ## Before a tag: record tables and statements, for the next release's migrations
	cd tests && $(abspath $(BIN))/python -m support.release.record

sample: setup ## Draw the sample catalogue that ships in the package again
	cd examples && $(abspath $(BIN))/python -m sample_catalogue

clean: ## Remove what setup, demo and tests made; never ./data
	rm -rf $(VENV) demo build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
