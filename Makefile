# make demo   set up .venv and run the main job on the built-in drum set
# make test   set up .venv and run the tests
# make lint   style, types, and who may import whom
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test lint clean
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

DEMO := demo
demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/rave-lite drums out=$(DEMO)
	$(BIN)/rave-lite train recipe=demo data.root=$(DEMO)/drums out=$(DEMO)/run
	$(BIN)/rave-lite evaluate ckpt=$(DEMO)/run/checkpoints/last.ckpt
	$(BIN)/rave-lite reconstruct ckpt=$(DEMO)/run/checkpoints/last.ckpt input=$(DEMO)/birds out=$(DEMO)/run/birds
	$(BIN)/rave-lite export ckpt=$(DEMO)/run/checkpoints/last.ckpt out=$(DEMO)/drums.ts

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
