# make demo   explain four questions of the demo        make test      fast tests and tests on the default model
# make check  ruff, mypy --strict, fast tests            make test-browser  tests of the page (need Chromium)
# make test-all  every test, the slow ones too, and every annotation checked while they run
# make figures  redraw figures/ from its stored records  make docs      docs/reference.md again from docstrings
# make docs-test  run every command of README.md and docs/  make screenshot  docs/page.png again (needs Chromium)
PYTHON ?= python3
BIN := .venv/bin
# Two processes, one thread each: tiny models gain nothing from more threads.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25
STAMP := .venv/.installed

.PHONY: demo test test-browser test-all check docs docs-test figures screenshot format install clean

demo: $(STAMP)
	$(BIN)/attrib models get
	$(BIN)/attrib demo --out attrib-demo

test: $(STAMP)
	$(BIN)/attrib models get
	$(PYTEST) -m "not slow and not docs and not browser"

test-browser: $(STAMP)
	$(PYTEST) -m "browser and not slow"

test-all: $(STAMP)
	$(BIN)/attrib models get
	PYTEST_ADDOPTS=--jaxtyping-packages=attrib,beartype.beartype $(PYTEST)

check: $(STAMP)
	$(BIN)/ruff format --check attrib tests scripts
	$(BIN)/ruff check attrib tests scripts
	$(BIN)/mypy
	$(PYTEST) -m "not slow and not model and not docs and not browser"

docs: $(STAMP)
	$(BIN)/python scripts/make_reference.py

docs-test: $(STAMP)
	$(BIN)/attrib models get
	$(PYTEST) -m docs

format: $(STAMP)
	$(BIN)/ruff format attrib tests scripts
	$(BIN)/ruff check --fix attrib tests scripts

figures: $(STAMP)
	$(BIN)/python scripts/figures.py

screenshot: $(STAMP)
	$(BIN)/python scripts/screenshot_page.py

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'attrib needs Python 3.11 or newer; run: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	touch $(STAMP)

clean:
	rm -rf .venv build dist attrib.egg-info attrib-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
