# What people and CI type. Nothing else needs to be installed or typed first: every target makes the environment.
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help run test test-all lint format bench bench-data seed lock e2e messages openapi browser docs fuzz oracle scenario frames miniprogram

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

.venv/.stamp: requirements-dev.txt
	@echo "Installing requirements into .venv"
	@python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 with venv is needed (Debian: apt-get install python3-venv)"; exit 1; }
	@test -x .venv/bin/python || python3 -m venv .venv
	@.venv/bin/python -m pip install -q --disable-pip-version-check uv==0.13.9
	@.venv/bin/uv pip sync -q --python .venv/bin/python requirements-dev.txt
	@touch $@

run: .venv/.stamp ## start everything; PORT, YKC_PORT, FLEET, DATABASE_URL, REDIS_URL are read (.env.example)
	@exec $(PY) -m chargeplat.supervisor

test: .venv/.stamp browser ## unit, integration, one live run, one browser journey (under 15 minutes)
	@.venv/bin/pytest -n 2 --dist loadgroup

test-all: .venv/.stamp browser servers ## everything, also what is slow (under 60 minutes)
	@.venv/bin/pytest -n 2 --dist loadgroup -m "slow or not slow"

lint: .venv/.stamp ## style, layers, types, requirements, migrations, translations
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports
	@.venv/bin/mypy
	@! grep -nE '://|index-url|find-links' requirements*.txt
	@$(PY) -W ignore manage.py makemigrations --check --dry-run
	@$(PY) manage.py messages --check

format: .venv/.stamp ## let ruff format and mend what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: .venv/.stamp servers bench-data ## speed and memory of the gateway, pages and settlements, nearly all as ratios
	@$(PY) manage.py bench_ykc

bench-data: .venv/.stamp ## books and orders, five million each, for `make bench`; made once (half an hour, 20 GB), kept
	@$(PY) manage.py bench_data

scenario: .venv/.stamp ## 2,000 simulated piles with every fault for ten minutes, then the books
	@SCENARIO_PILES=$${SCENARIO_PILES:-2000} SCENARIO_SECONDS=$${SCENARIO_SECONDS:-600} .venv/bin/pytest -m slow -s tests/live/test_scenario.py

fuzz: .venv/.stamp ## a million mutated frames over buffer, decoders and inspector
	@$(PY) -m tests.fuzz

oracle: .venv/.stamp ## a million random charges: prices, discounts and payment against the independent oracle
	@$(PY) -m tests.pipeline $(if $(SESSIONS),--sessions $(SESSIONS))

seed: .venv/.stamp ## 30 days of demo business into the running database
	@$(PY) manage.py seed_demo --days 30 --close

e2e: .venv/.stamp ## new drivers charge on the running system: bills against the oracle; coupon, refunds, the provider's bill
	@$(PY) -m tests.e2e

messages: .venv/.stamp ## collect source strings, compile the catalogues
	@$(PY) manage.py messages

openapi: .venv/.stamp ## write docs/openapi.yaml, the description of the driver API
	@$(PY) manage.py spectacular --fail-on-warn --file docs/openapi.yaml

frames: .venv/.stamp ## write docs/supported-frames.md, made from the protocol and its handlers
	@$(PY) manage.py ykc frames --markdown > docs/supported-frames.md

lock: .venv/.stamp ## requirements*.in -> hashed requirements*.txt for every platform, no host name inside
	@for name in requirements requirements-dev; do .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links $$name.in -o $$name.txt; done

miniprogram: .venv/.stamp ## the driver's mini-program: pages for browsers, WeChat, Alipay (needs node)
	@$(PY) -m chargeplat.miniprogram
	@cd miniprogram && npm run -s type-check && npm test -s && npm run -s build:mp-weixin && npm run -s build:mp-alipay

docs: .venv/.stamp ## the manual as a site
	@.venv/bin/mkdocs build --strict

# Debian's Chromium and fonts for the browser journey; without root it has to be there, or the journey is skipped.
browser:
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-noto-cjk; } >/dev/null

# Real servers for the test of docker-compose.yml.
.PHONY: servers
servers:
	@command -v haproxy >/dev/null && command -v redis-server >/dev/null && ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
	  test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql redis-server haproxy; } >/dev/null
