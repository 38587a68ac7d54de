# make run     the trial: sets up .venv if needed, starts everything, prints the address and a key
# make test    all tests
# make deep    the tests without samples: all servers, orders, time zones and flights (much longer)
# make covered which lines and branches of each room the last `make test COVERAGE_FLOOR=95` ran
# make bench   storms, kills and load on a database of its own
# make containers  the image and compose.yaml, built and run (needs Docker with compose; see tests/containers/images.py)
# make fuzz    half an hour of requests made from the description of the API
# make screenshots  pictures of the console for the documents (needs Chromium)
# make lint    style, format, types and spelling
# make server  builds the fast server of the tests, once, if its script is at hand (about six minutes)
# make setup   only .venv, from requirements.lock (hashes checked)
# make lock    renews requirements.lock from pyproject.toml
# make audit   known vulnerabilities of the locked packages; exit code 2 if their source cannot be reached
# make sbom    the packages of the product as CycloneDX: dist/reserva.cdx.json
# make help    these lines

.PHONY: run test deep covered bench containers fuzz screenshots lint server setup lock audit sbom help
.DEFAULT_GOAL := run
SHELL := /bin/sh

# Arguments of a command: `make run ARGS='--port 9000'`, `make test ARGS='tests/unit -k lifecycle'`.
ARGS ?=

# How many processes share the tests, file by file, each with servers of its own; 0: all in one. They are more than the
# cores, because tests of processes mostly wait. The files go in the order of `testpaths`, not by their number of tests.
JOBS ?= 4
pytest := pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

# The tests start hundreds of commands, and each would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

# How many per cent of lines and branches the tests must run; 0: they are not measured, which takes less than half of the time.
COVERAGE_FLOOR ?= 0

# Servers and files that are too large for the repository, where they are at hand beside it.
export TEST_SERVER_SCRIPTS ?= $(wildcard $(CURDIR)/../shared/mongo)
export TEST_DATA ?= $(wildcard $(CURDIR)/../shared/data)

ready := .venv/ready
lint_paths := app worker tests
spelled := $(lint_paths) docs .ci Makefile pyproject.toml Dockerfile compose.yaml CHANGELOG.md CONTRIBUTING.md README.md SECURITY.md

# `exec` makes make itself the parent, and --tied ends the trial with it, even when make is killed.
run: $(ready)
	@exec .venv/bin/reserva dev --tied $$PPID $(ARGS)

test: $(ready)
ifeq ($(COVERAGE_FLOOR),0)
	@exec .venv/bin/python -m $(pytest) $(ARGS)
else
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m $(pytest) $(ARGS)
	@$(MAKE) --no-print-directory covered
endif

deep: export TEST_SERVERS := all
deep: export TEST_ORDERS := all
deep: export TEST_ZONES := all
deep: export TEST_FLIGHTS := 26223
deep: export TEST_BAD_VALUES := 1000
deep: $(ready)
	@exec .venv/bin/python -m $(pytest) $(ARGS)

covered: $(ready)
	@.venv/bin/coverage combine --quiet --keep
	@exec .venv/bin/python -m tests.support.coverage_rooms $(COVERAGE_FLOOR)

bench: $(ready)
	@exec .venv/bin/python -m tests.bench $(ARGS)

containers: $(ready)
	@exec .venv/bin/python -m pytest -s tests/containers $(ARGS)

fuzz: $(ready)
	@exec .venv/bin/python -m tests.fuzz $(ARGS)

screenshots: $(ready)
	@exec .venv/bin/python -m tests.screenshots $(ARGS)

lint: $(ready)
	.venv/bin/ruff check $(lint_paths)
	.venv/bin/ruff format --check $(lint_paths)
	.venv/bin/mypy
	.venv/bin/basedpyright
	.venv/bin/codespell $(spelled)

server:
	@script="$$TEST_SERVER_SCRIPTS/secantusd"; [ ! -x "$$script" ] || "$$script" --build

setup: $(ready)

lock: $(ready)
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-header --no-emit-index-url --output-file requirements.lock pyproject.toml

audit: $(ready)
	@exec .venv/bin/python -m tests.audit

# What the product needs, in the locked versions; the lock itself also has what the trial and the tests need.
sbom: $(ready)
	@mkdir -p dist
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --constraints requirements.lock --output-file dist/parts.txt pyproject.toml
	@PYTHONWARNINGS=ignore .venv/bin/cyclonedx-py requirements dist/parts.txt --pyproject pyproject.toml --output-reproducible --validate --output-file dist/reserva.cdx.json

help:
	@sed -n 's/^# make /make /p' Makefile

# The first Python that has everything as wheels; 3.13 comes last, because Redis has no wheel there.
# PYTHON=… chooses it.
define find_python
for python in $(or $(PYTHON),python3 python3.11 python3.12 python3.13); do \
  "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || continue; \
  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare=$$python; continue; }; \
  found=$${found:-$$python}; \
  "$$python" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 12))' && { found=$$python; break; }; \
done; \
if [ -z "$$found" ] && [ -n "$$bare" ]; then \
  echo "make setup: $$bare cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; \
elif [ -z "$$found" ]; then \
  echo "make setup: Python 3.11, 3.12 or 3.13 is needed, and none is on the PATH. Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 2; \
fi
endef

define check_redis
"$$found" -c 'import platform, sys; sys.exit(not (sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 13)))' \
|| command -v redis-server >/dev/null || { \
  echo "make setup: there is no ready-made Redis for $$("$$found" -V) on this platform. Install redis-server (apt install redis-server, brew install redis), or Python 3.11 or 3.12 on 64-bit Linux." >&2; exit 2; }
endef

define no_wheels
{ echo "make setup: not everything could be installed (see above). If a package has no wheel here: the trial and the tests need 64-bit Linux with glibc 2.28 or later, or macOS on Apple silicon. Elsewhere use compose.yaml." >&2; exit 2; }
endef

$(ready): requirements.lock pyproject.toml
	@$(find_python); $(check_redis); \
	echo "Setting up .venv with $$("$$found" -V); this takes about a minute, once." >&2; \
	if ! .venv/bin/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	  "$$found" -m venv --clear .venv || exit 2; \
	fi; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
	  -r requirements.lock || $(no_wheels); \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . || exit 2; \
	touch $@
