# make demo   set up .venv and run the main job on the built-in drum set
# make test   set up .venv and run the tests, but for the slow ones: seven minutes on two cores
# make test-all   run all tests; PYTEST=--fail-skipped fails where a program that they need is missing
# make notebooks STEPS=5000   run the notebooks, and keep one picture of each
# make lint   style, types, and who may import whom
# make docs   the documentation as a site: build/site/index.html
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test test-all notebooks lint docs clean
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[dev]'
	touch $(READY)

DEMO := demo
LAST := $(DEMO)/run/checkpoints/last.ckpt
demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/rave-lite drums out=$(DEMO)
	$(BIN)/rave-lite train recipe=demo name=drums data.root=$(DEMO)/drums out=$(DEMO)/run
	$(BIN)/rave-lite export ckpt=$(LAST)
	$(BIN)/rave-lite reconstruct ckpt=$(LAST) input=$(DEMO)/birds out=$(DEMO)/birds_as_drums
	$(BIN)/rave-lite evaluate ckpt=$(LAST)
	@echo 'to play live:                $(DEMO)/run/drums.ts'
	@echo 'held-out reconstructions:    $(DEMO)/run/evaluation/wav and spectrograms.png beside it'
	@echo 'kingfishers as drums:        $(DEMO)/birds_as_drums'

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not host'

test-all: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST)

STEPS := 5000
notebooks: $(READY)
	$(BIN)/python notebooks/refresh.py STEPS=$(STEPS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv $(DEMO) notebooks/work build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
