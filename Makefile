# make demo | make test | make test-studio | make slow set up .venv first where needed; make docs | make results do not.
# Windows: docs/getting-started.md has the plain commands.
PYTHON ?= python3
BIN = .venv/bin
TSC = npx --yes -p typescript@5.9.3 tsc

.PHONY: demo test test-studio check slow docs results setup clean

demo: .venv/installed
	$(BIN)/genwerk demo

test: check
	$(BIN)/pytest -n 2 --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if $(TSC) --version >/dev/null 2>&1; then $(TSC) --noEmit -p genwerk/studio/static; \
	else echo "the types of the studio's page are not checked: there is no Node.js here, or no TypeScript for it"; fi
	$(BIN)/codespell README.md README.zh-CN.md CONTRIBUTING.md CHANGELOG.md docs benchmarks

test-studio: .venv/dev
	$(BIN)/pytest tests/studio

slow: .venv/dev
	$(BIN)/pytest -m slow

docs:
	@$(BIN)/python -c "import sphinx, furo, myst_parser" 2>/dev/null || { echo "make docs needs the documentation tools: \
	$(BIN)/pip install -c constraints.txt -e '.[docs]' (or make setup)"; exit 2; }
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d docs/_build/doctrees -b html . docs/_build/html
	@echo "docs/_build/html/index.html"

results:
	$(BIN)/python benchmarks/results_page.py

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
