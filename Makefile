# For GNU make and a POSIX shell; `make help` lists the targets.

PYTHON ?= python3

PY := .venv/bin/python
BENCH_PY := .venv-bench/bin/python

# A change in any of these means a new build of the package.
SOURCES := $(shell find rust python -type f \( -path '*/src/*' -o -name Cargo.toml -o -name '*.py' \
	-o -name '*.pyi' -o -name py.typed \)) Cargo.toml Cargo.lock pyproject.toml README.md

# rustup puts cargo here, but a shell opened before the installation does not know it.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Before anything else, and as an error of make itself: one line that says what to install.
ifneq ($(filter demo test bench docs lint,$(MAKECMDGOALS)),)
MISSING := $(shell PATH="$(PATH)" sh tools/check_toolchain.sh "$(PYTHON)" 2>&1)
ifneq ($(MISSING),)
$(error $(MISSING))
endif
endif

.DEFAULT_GOAL := help
.PHONY: help demo test bench docs lint clean
# Two pip processes must not write to one environment at the same time.
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '|' '{ printf "make %-6s %s\n", $$1, $$2 }'

demo: .venv/.package .venv/.group-demo ## build, then report on the real scores in data/ (writes roc.png)
	$(PY) examples/demo.py

test: .venv/.package .venv/.group-test ## build, then run every test and documented example
	cargo test --release --locked --workspace
	$(PY) -m pytest --doctest-modules tests --pyargs fastpair

bench: .venv-bench/.package .venv-bench/.group-bench ## build, then time fastpair beside other packages
	$(BENCH_PY) benches/rivals.py

docs: .venv/.package .venv/.group-docs ## build the documentation and run its examples
	$(PY) -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	$(PY) -m sphinx -W --keep-going -n -q -b doctest docs docs/_build/doctest

lint: .venv/.package .venv/.group-lint ## formatting, lints and types of both languages
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	git ls-files '*.cu' '*.cuh' 'tests/cupy_on_host/*.h' | xargs .venv/bin/clang-format --dry-run -Werror
	MYPYPATH=python $(PY) -m mypy
	$(PY) -m mypy.stubtest --mypy-config-file pyproject.toml fastpair._core

clean: ## remove everything that the other targets made
	rm -rf .venv .venv-bench target dist docs/_build roc.png .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The files below only record that a step was done, so that nothing is done twice.

.venv/.created .venv-bench/.created: %/.created:
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.package .venv-bench/.package: %/.package: %/.created $(SOURCES)
	@echo "Building fastpair; the first time takes a few minutes."
	$*/bin/python -m pip install --quiet .
	@touch $@

.venv/.group-demo .venv/.group-test .venv/.group-docs .venv/.group-lint: .venv/.group-%: .venv/.created pyproject.toml
	$(PY) -m pip install --quiet --group $*
	@touch $@

.venv-bench/.group-bench: .venv-bench/.created pyproject.toml
	$(BENCH_PY) -m pip install --quiet --group bench
	@touch $@
