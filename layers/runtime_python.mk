# Read by every makefile that "sam build" calls, and by the project's: RUNTIME_PYTHON, the CPython 3.13 that compiles.
# SAM runs make in a copy of one folder, but names the makefile by its place in the project. From there .venv is found,
# also where the PATH does not have it, or where pyenv would need the file .python-version in the folder.
PROJECT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)

# The runtime's own minor version: no other writes files that it reads.
RUNTIME_PYTHON ?= $(shell for p in '$(PROJECT)/.venv/bin/python' python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit((sys.implementation.name, *sys.version_info[:2]) != ("cpython", 3, 13))' \
		2>/dev/null && echo "$$p" && break; done)
