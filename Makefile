# One command each for newcomers and for CI. `make help` lists them; CONTRIBUTING.md has every line of `make test`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help demo test setup lint types lowest clients cover proto soak bench clean environments

export PYTHON ?= python3
# Environments are installed without bytecode, which each module gets when it is first imported; not ever would be slow.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin

# One file of tests is one worker's, so that what its tests share is made once; in order, since long files are in the middle.
# Four on two cores, since many tests wait for processes that they killed. One that hangs is not tried again. Two where
# the tests are few: each worker imports everything for itself, other people's clients for 17 s.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Threads of numeric libraries fight over two cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

demo: environment-base ## set up, then run a Bell pair and a GHZ circuit through emulated instruments
	$(call need,base)@$(BIN)/qubitd demo

test: environments lint types lowest clients ## set up, then run everything that CI runs
	$(BIN)/python -m pytest $(PARALLEL)

setup: environment-test ## make .venv with all that development needs
	$(call need,test)@echo ".venv is ready"

lint: environment-test environment-gen ## style, import rules, the wire contract and its generated code
	$(call need,test)$(call need,gen)$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	$(BIN)/python tools/generate_proto.py --check

types: environment-test ## mypy and basedpyright, at the same time
	$(call need,test)$(BIN)/mypy & mypy=$$!; $(BIN)/basedpyright; right=$$?; wait $$mypy && exit $$right

lowest: environment-lowest ## unit tests and what a Qiskit user does with the lowest versions of our dependencies
	$(call need,lowest).venv-lowest/bin/python -m pytest $(PARALLEL) -n 2 -q -W default --disable-warnings -m lowest \
		tests/unit $$(grep -rl 'pytest.mark.lowest' tests/system)

clients: environment-clients ## let other people's clients talk to our backend, and the makers' to our instruments
	$(call need,clients).venv-clients/bin/python -m pytest $(PARALLEL) -n 2 -q -c tests/clients/pytest.ini tests/clients

cover: environment-test ## run the main suite once more and print which lines no test reached; fails below 90 %
	$(call need,test)$(BIN)/python -m pytest $(PARALLEL) --cov

proto: environment-gen ## write the Python of proto/qubitd/v1 anew
	$(call need,gen)$(PYTHON) tools/generate_proto.py

soak: environment-test ## for an hour: many jobs, kills, power cuts, hostile bytes, crowds; nothing may grow, get lost or wait
	$(call need,test)$(BIN)/python bench/soak.py
	$(BIN)/python tests/system/kill_soak.py
	$(BIN)/python -m pytest -q -s --soak tests/property/test_store_machine.py tests/system/test_power_cuts.py tests/system/test_database_deaths.py \
		tests/system/test_migrations.py tests/system/test_hostile_messages.py tests/system/test_hostile_http2.py \
		tests/wire/daemon/test_hostile_rpcs.py tests/system/test_overload.py tests/wire/daemon/test_concurrent_callers.py \
		tests/system/test_two_fridges_die.py tests/system/test_random_circuits.py

bench: environment-test ## print our figures beside their references, as ratios; leave the machine alone meanwhile
	$(call need,test)$(BIN)/python bench/compile.py
	$(BIN)/python bench/wire.py
	$(BIN)/python bench/query.py
	$(BIN)/python bench/upload.py
	$(BIN)/python bench/overlap.py
	$(BIN)/python bench/jobs.py
	$(BIN)/python bench/full_queue.py
	$(BIN)/python bench/overload.py
	$(BIN)/python bench/provider.py

clean: ## remove everything that make and the tools wrote, the environments too
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A set-up that fails leaves one line in build/; make then ends with that line in the first recipe that needs it.
need = $(if $(shell cat $(call failure,$(1))),$(error $(shell cat $(call failure,$(1)))))
failure = build/setup-$(1).failure

# Installing is mostly one thread's work, so all four go at once; each leaves its own failure.
environments:
	@for kind in test gen lowest clients; do $(MAKE) --no-print-directory environment-$$kind & done; wait

environment-%:
	@mkdir -p build
	@sh tools/setup_environment.sh $* 2>$(call failure,$*) && : >$(call failure,$*) || \
		test -s $(call failure,$*) || echo "setting up $* failed" >$(call failure,$*)
