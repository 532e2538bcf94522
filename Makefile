# `make` alone lists the verbs.  ARGS is handed on: make test ARGS="-k milestones".
.DEFAULT_GOAL := help
.PHONY: help demo test test-e2e check setup docs lock lock-upgrade benchmark benchmark-volumes benchmark-mail benchmark-ingest benchmark-webhook clean

PYTHON_RUN := .venv/bin/python -P

# Everything runs on the installed wheel; a path set elsewhere must not put the checkout before it.
unexport PYTHONPATH PYTHONHOME
export PYTHONSAFEPATH := 1

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r verb what; do printf '  make %-17s %s\n' "$$verb" "$$what"; done

demo: ## a petition from its first signature to a delivered letter, on this machine alone
	@sh .ci/setup demo
	@$(PYTHON_RUN) tools/demo.py $(ARGS)

test: ## the tests, run on the built and installed wheel
	@sh .ci/setup test
	@$(PYTHON_RUN) -m pytest $(ARGS)

test-e2e: ## posts to a real Bluesky server (npm; its first set-up takes minutes)
	@sh .ci/setup e2e
	@$(PYTHON_RUN) -m pytest tests/e2e/bluesky.py $(ARGS)

check: ## lint, format, types, floors
	@sh .ci/setup check
	@$(PYTHON_RUN) -m ruff check $(ARGS)
	@$(PYTHON_RUN) -m ruff format --check
	@$(PYTHON_RUN) -m mypy
	@PYTHONPATH=. .venv/bin/lint-imports --no-cache --no-logo

setup: ## .venv with all that a contributor needs
	@sh .ci/setup test

lock: ## write requirements/*.lock, keeping their versions
	@sh .ci/setup lock
	@sh .ci/lock $(ARGS)

lock-upgrade: ## write requirements/*.lock with the newest versions
	@sh .ci/setup lock
	@sh .ci/lock --upgrade

docs: ## write docs/settings.md and docs/commands.md from the code
	@sh .ci/setup test
	@$(PYTHON_RUN) tools/docs.py

benchmark: ## how fast, how big
	@sh .ci/setup demo
	@$(PYTHON_RUN) benchmarks/chain.py $(ARGS)

benchmark-volumes: ## long lists of names, against other engines (an hour; ARGS="--names 5000")
	@sh .ci/setup bench
	@$(PYTHON_RUN) benchmarks/volumes.py $(ARGS)

benchmark-mail: ## handing letters over, against other ways (minutes; ARGS="--rounds 1")
	@sh .ci/setup bench
	@$(PYTHON_RUN) benchmarks/mail.py $(ARGS)

benchmark-ingest: ## a million signatures, against the plainest loops (20 minutes; ARGS="--rows 50000")
	@sh .ci/setup test
	@$(PYTHON_RUN) benchmarks/ingest.py $(ARGS)

MINUTES = 5
fuzz: ## made-up text against all that meets other people's first (MINUTES=5)
	@sh .ci/setup fuzz
	@$(PYTHON_RUN) tools/fuzz.py --minutes $(MINUTES)

benchmark-webhook: ## how long a platform waits for its answer
	@sh .ci/setup demo
	@$(PYTHON_RUN) benchmarks/webhook.py $(ARGS)

clean: ## remove .venv and everything that can be made again
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
