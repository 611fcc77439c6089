# Every target sets up what it needs by itself: a virtual environment in .venv with exactly what requirements.lock
# names (`make install`: runtime.lock), verified by hash. Set-up runs again only when the content of the lock changes.

.DEFAULT_GOAL := help
.PHONY: help setup install demo test check serve lock sbom audit pictures clean

BIN := .venv/bin
READY := .venv/installed.lock
LOCK ?= requirements.lock
SUPPLY := .venv-supply
CONFIG ?= herald.toml
ARGS ?=

# Compiled files are kept even where a surrounding container says otherwise: else each of the six processes of a test run,
# and each start of Herald, would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@echo "make <target>   (Python 3.11 or newer is all that must be there)"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

setup: $(READY) ## Set up .venv and the command .venv/bin/herald, nothing else

install: ## Set up .venv for a server: what runtime.lock names, without the tools of tests and development
	@$(MAKE) --no-print-directory setup LOCK=runtime.lock

demo: $(READY) ## See it work: local Slack and Teams, a server and a real run; no account, no credentials
	@$(BIN)/python app.py demo $(ARGS)

test: $(READY) ## Run every test on SQLite and PostgreSQL; ARGS="-k word" chooses, ARGS="-n 0" runs in one process
	@$(BIN)/python -m pytest -q -n 6 --dist worksteal $(ARGS)

check: $(READY) ## Lint, format, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: $(READY) ## Run the server with herald.toml; CONFIG=FILE names another
	@$(BIN)/python app.py serve --config $(CONFIG) $(ARGS)

lock: $(READY) ## Resolve the dependencies of pyproject.toml anew into requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group dev pyproject.toml \
		-o requirements.lock --custom-compile-command "make lock"
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 -c requirements.lock pyproject.toml \
		-o runtime.lock --custom-compile-command "make lock"
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group supply \
		-o supply.lock --custom-compile-command "make lock"

sbom: $(SUPPLY)/installed.lock ## Write sbom.json (CycloneDX): every package that a server runs, with version, licence and needs
	@python3 -m venv --clear --without-pip $(SUPPLY)/server
	@$(SUPPLY)/bin/python -m pip --python $(SUPPLY)/server/bin/python install --quiet --disable-pip-version-check \
		--require-hashes -r runtime.lock
	@$(SUPPLY)/bin/cyclonedx-py environment $(SUPPLY)/server/bin/python --pyproject pyproject.toml --mc-type application \
		--sv 1.6 --of JSON --output-reproducible -o sbom.json

audit: $(SUPPLY)/installed.lock ## Ask the public advisory databases about every locked package; needs the network
	$(SUPPLY)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.lock -r supply.lock

pictures: $(READY) ## Make the images of docs/templates.md anew; a Chromium must be there
	@$(BIN)/python -m bench.pictures

clean: ## Remove what tests, tools and the demo left behind; .venv and .venv-supply stay
	rm -rf sbom.json .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .demo .coverage htmlcov .ci/logs
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +

# The stamp is a copy of the lock that was installed: a fresh checkout of the same lock installs nothing.
$(READY): $(LOCK)
	@if [ -x $(BIN)/python ] && cmp -s $(LOCK) $(READY); then touch $(READY); exit 0; fi; \
	set -e; \
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		for python in python3 python3.14 python3.13 python3.12 python3.11 none; do \
			if [ $$python = none ]; then \
				echo "Herald needs Python 3.11 or newer with its venv module, and found none." >&2; \
				echo "Debian and Ubuntu: apt-get install python3 python3-venv" >&2; \
				exit 1; \
			fi; \
			$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		done; \
		echo "Creating .venv with $$($$python --version)"; \
		$$python -m venv --clear .venv; \
	fi; \
	echo "Installing what $(LOCK) names (about a minute, once)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK); \
	printf '#!/bin/sh\nhere=$$(dirname "$$(readlink -f "$$0")")\nexec "$$here/python" "$$here/../../app.py" "$$@"\n' \
		> $(BIN)/herald; \
	chmod +x $(BIN)/herald; \
	cp $(LOCK) $(READY)

$(SUPPLY)/installed.lock: supply.lock
	@python3 -m venv --clear $(SUPPLY)
	@$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r supply.lock
	@cp supply.lock $@
