# The commands of a working day. Each makes the environment it needs; a second run of that takes no time.
#   make demo EXIT=1 ICS="a.ics b.ics"   PYTHON=/path/to/python3.11   make test ARGS="-k lease"
#   make bench ONLY="move admin" SIZE=small

.DEFAULT_GOAL := help
.PHONY: help demo clean-demo test simulate bench screenshots messages lint format types lock setup

VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=
EXIT ?=
ICS ?=
SEEDS ?= 1..200
ONLY ?=
NEW ?=
SIZE ?= full
# The tests have a server and files of their own beside those of a demo that runs. Nobody keeps what is in it.
TEST_DATA := $(CURDIR)/var/test
# Who waits ten minutes for a lock waits for ever: that is a failure which names its statement.
TEST_OPTIONS := fsync=off,full_page_writes=off,lock_timeout=600s
# Tests with processes of their own, one after the other, and beside them all others; three, as some only wait.
TEST_SPREAD := -n 3 --dist loadgroup

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Move a simulated workspace of 200 calendars between two regions. EXIT=1: end after the proof. ICS="files": with real calendars.
	@.ci/environment local
	@exec $(RUN) manage.py demo $(if $(filter-out 0 no false,$(EXIT)),--exit) $(if $(ICS),--ics $(ICS))

clean-demo: ## Stop what the demo started and remove its data.
	@.ci/environment local
	@exec $(RUN) manage.py demo --clean

test: ## Run the test suite. ARGS="...": arguments for pytest.
	@.ci/environment dev
	@export RECALLOPS_DATA_DIR="$(TEST_DATA)" EMBEDDED_POSTGRES_OPTIONS="$(TEST_OPTIONS)"; result=0; \
		$(RUN) -m pytest $(TEST_SPREAD) $(ARGS) || result=$$?; \
		test -n "$$DATABASE_URL" || $(RUN) manage.py database stop; \
		exit $$result

simulate: ## Play whole moves from seeds, on databases of their own. SEEDS=1..1000
	@.ci/environment dev
	@export RECALLOPS_DATA_DIR="$(TEST_DATA)" EMBEDDED_POSTGRES_OPTIONS="$(TEST_OPTIONS)"; result=0; \
		$(RUN) manage.py simulate --seeds $(SEEDS) $(ARGS) || result=$$?; \
		test -n "$$DATABASE_URL" || $(RUN) manage.py database stop; \
		exit $$result

bench: ## Measure, and write docs/bench/. ONLY="names": of limiter, webhook, admin, memory, move. SIZE=small|medium|full.
	@.ci/environment bench
	@result=0; $(RUN) -m tests.bench --size $(SIZE) $(if $(ONLY),--only $(ONLY)) || result=$$?; \
		RECALLOPS_DATA_DIR="$(CURDIR)/var/bench" $(RUN) manage.py database stop; \
		exit $$result

screenshots: ## Make the pictures of docs/screenshots/ from made-up rows. ONLY="names": of dashboard, batch, item, ...
	@.ci/environment dev
	@export RECALLOPS_DATA_DIR="$(CURDIR)/var/screenshots"; result=0; \
		DJANGO_SETTINGS_MODULE=recallops.settings $(RUN) -m tests.browser.screenshots $(ONLY) || result=$$?; \
		$(RUN) manage.py database stop; \
		exit $$result

messages: ## Bring the translations of status pages up to date. NEW="it nl": for new languages.
	@.ci/environment dev
	@$(RUN) -m tests.status.catalogues $(NEW)

lint: ## Check style and format.
	@.ci/environment dev
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: ## Put the code into its format.
	@.ci/environment dev
	@$(RUN) -m ruff format .

types: ## Check types.
	@.ci/environment dev
	@$(RUN) -m mypy

lock: ## Pin requirements/*.in into requirements/*.txt, with hashes.
	@.ci/environment dev
	@for name in base local dev bench; do \
		$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-header --universal --python-version 3.11 \
			--no-emit-index-url --no-emit-find-links $(ARGS) \
			requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done

setup: ## Make the environment for development.
	@.ci/environment dev
