# make demo | make test | make test-studio: each sets up .venv first where needed. Windows: see README for the plain commands.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-studio check slow setup clean

demo: .venv/installed
	$(BIN)/genwerk demo

test: check
	$(BIN)/pytest -n 2 --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-studio: .venv/dev
	$(BIN)/pytest tests/studio

slow: .venv/dev
	$(BIN)/pytest -m slow

setup: .venv/dev

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build *.egg-info
