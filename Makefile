# `make run` and `make test` do all the set-up on a fresh machine; `make` lists what there is.
# PYTHON, VENV, TORCH_INDEX: see .ci/environment. STREAMGEN_REQUIRE: see tests/conftest.py.
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.streamgen-ready

CLIP ?= streamgen/samples/webcam.mp4
OUT ?= out/redrawn.mp4
PROMPT ?= watercolor painting
CLIP_ARGS ?= --prompt "$(PROMPT)" --overwrite
RUN_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?= --model tiny --size 256

export VENV
# Idle worker threads must not spin: the decoder, the model and the encoder share the cores.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help env run clip test check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

env: $(READY) ## make the environment in .venv (once, and again when its recipe changes)

$(READY): pyproject.toml constraints.txt .ci/environment
	@.ci/environment
	@touch $@

run: $(READY) ## serve the page that redraws your camera; RUN_ARGS= are those of streamgen serve
	@$(BIN)/streamgen serve $(RUN_ARGS)

clip: $(READY) ## redraw a short clip with the built-in model; CLIP=, OUT=, PROMPT= as you like
	@mkdir -p "$(dir $(OUT))"
	@$(BIN)/streamgen run "$(CLIP)" "$(OUT)" $(CLIP_ARGS)
	@echo "The redrawn clip is $(abspath $(OUT))"

test: $(READY) ## run the tests
	@$(BIN)/python -m pytest $(TEST_ARGS)

check: $(READY) ## lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) ## measure the whole frame path on this machine
	@$(BIN)/streamgen bench $(BENCH_ARGS)

clean: ## remove caches and build results (not .venv, not out)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
