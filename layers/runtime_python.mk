# Sets RUNTIME_PYTHON, the CPython 3.13 that compiles, for the makefiles of "sam build" and for the project's.
# SAM runs make in a copy of one folder, but gives the makefile's path in the project, by which .venv is found even if
# it is not in the PATH, or if pyenv would need a file .python-version in the folder.
PROJECT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)

# The runtime's own minor version: the runtime cannot read compiled files of another.
RUNTIME_PYTHON ?= $(shell for p in '$(PROJECT)/.venv/bin/python' python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit((sys.implementation.name, *sys.version_info[:2]) != ("cpython", 3, 13))' \
		2>/dev/null && echo "$$p" && break; done)
