# The verbs of daily work; `make` lists them. CI (.ci/run) calls the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS    ?= $(shell nproc)
CTEST   := tools/run-ctest -j $(JOBS)
T       ?=
F       ?= resp
SEED    ?=
SEEDS   ?= 100
SCENARIO ?=
LEAST   ?=
# A finding ends the program; its stack is printed with names.
SYMBOLIZER := external_symbolizer_path=/usr/bin/llvm-symbolizer-19
UNSEEN := test/support/tsan_suppressions.txt
SANITIZER_OPTIONS := env ASAN_OPTIONS=$(SYMBOLIZER) UBSAN_OPTIONS=$(SYMBOLIZER):print_stacktrace=1 \
                     TSAN_OPTIONS=$(SYMBOLIZER):halt_on_error=1:suppressions=$(CURDIR)/$(UNSEEN)
# SECONDS is also a variable of bash; only the one from the command line counts.
FUZZ_SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),30)

help: ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

packages-build: ; @tools/install-packages build
packages-run:   ; @tools/install-packages build run
packages-test:  ; @tools/install-packages build run test
packages-clang: ; @tools/install-packages build run test clang
packages-lint:  ; @tools/install-packages build run test lint

build: packages-build ## the release binary, build/release/quipu
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target quipu

run: packages-run build ## install what is missing, build, serve with defaults on 127.0.0.1:7379
	@exec build/release/quipu serve

test: packages-test ## install what is missing, build, every test but the longer suites (CONTRIBUTING.md)
	@cmake --preset dev $(QUIET)
	@cmake --build --preset dev
	@$(CTEST) --test-dir build/dev -LE 'campaign|slow'

dev: packages-test ## configure, build, unit tests: the edit loop
	@cmake --preset dev $(QUIET)
	@cmake --build --preset dev
	@$(CTEST) --test-dir build/dev -L unit

t: packages-test ## one module's tests: make t T=rt
	@test -n "$(T)" || { echo "say which: make t T=rt" >&2; exit 2; }
	@cmake --preset dev $(QUIET)
	@cmake --build --preset dev --target tests_$(subst /,_,$(T))
	@$(CTEST) --test-dir build/dev -L '^module:$(subst /,_,$(T))$$' -LE 'campaign|slow'

asan: packages-clang ## tests of all modules and the server under address, leak and undefined-behaviour sanitizers
	@cmake --preset asan $(QUIET)
	@cmake --build --preset asan --target tests quipu
	@$(SANITIZER_OPTIONS) $(CTEST) --test-dir build/asan -L 'unit|contract' -LE 'campaign|slow'
	@$(SANITIZER_OPTIONS) $(CTEST) --test-dir build/asan -j 1 -R '^(integration_shards|e2e_serve|e2e_import)$$'

tsan: packages-clang ## tests of all modules and the server under the thread sanitizer
	@cmake --preset tsan $(QUIET)
	@cmake --build --preset tsan --target tests quipu
	@$(SANITIZER_OPTIONS) $(CTEST) --test-dir build/tsan -L unit -LE 'campaign|slow' \
	  -E '^(sim_smoke|simulation_)'
	@$(SANITIZER_OPTIONS) QUIPU_KILLS=$${QUIPU_KILLS:-10} $(CTEST) --test-dir build/tsan -j 1 -LE 'campaign|slow' \
	  -R '^(integration_shards|integration_kill|e2e_serve|e2e_import)'

sim: packages-test ## the simulator: make sim SEED=n replays one seed, make sim SEEDS=1000 runs many
	@cmake --preset $(if $(SEED),dev,release) $(QUIET)
	@cmake --build --preset $(if $(SEED),dev,release) --target sim
	@$(if $(SEED)$(SCENARIO),,build/release/test/simulation/sim --kept=test/simulation/kept_seeds.txt)
	@build/$(if $(SEED),dev,release)/test/simulation/sim $(if $(SCENARIO),--scenario=$(SCENARIO)) \
	  $(if $(LEAST),--least=$(LEAST)) \
	  $(if $(SEED),--seed=$(SEED) --verbose,--seeds=$(SEEDS) --jobs=$(JOBS))

HOURS ?= 1
campaign: packages-test ## fresh seeds for a while, and a line in test/simulation/ledger.md: make campaign HOURS=0.5
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target sim
	@tools/run-campaign build/release/test/simulation/sim "$(HOURS)" $(JOBS)

# Scripts that do many different things in few calls of the disk.
SCRIPTS := 2 5 12
sim-calls: packages-test ## a crash before each call of the disk, and in each recovery: make sim-calls, or SEED=n CASE=n
	@cmake --preset $(if $(CASE),dev,release) $(QUIET)
	@cmake --build --preset $(if $(CASE),dev,release) --target sim
	@$(if $(CASE),build/dev/test/simulation/sim --every-call --seed=$(SEED) --case=$(CASE) --verbose, \
	  for s in $(SCRIPTS); do build/release/test/simulation/sim --every-call --seed=$$s --jobs=$(JOBS) || exit 1; done)

sim-plants: packages-test ## bugs planted in the engine, one after another: the simulator must find each
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target sim_planted
	@build/release/test/simulation/sim_planted --every-plant --seeds=300 --jobs=$(JOBS)

slow: packages-test ## every byte of a data directory damaged, many times: 8 minutes of one core, in two halves
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target tests_store_embedded
	@$(CTEST) --test-dir build/release -L '^slow$$'

fuzz: packages-clang ## one fuzz target for a while: make fuzz F=resp SECONDS=30
	@tools/run-fuzz "$(F)" "$(FUZZ_SECONDS)"

fuzz-all: packages-clang ## every fuzz target, 24 million inputs and more in all
	@tools/run-fuzz --count

bench: packages-test bench-build ## Quipu and redis-server in turn: rates against the goals, in some minutes
	@bench/run.py

bench-all: packages-test bench-build ## every row of the goals, the long ones too
	@bench/run.py --all

bench-smoke: packages-test bench-build ## every row, tiny: proves that it runs
	@bench/run.py --smoke

cost: cost-build ## instructions of an add, a read, a replay and a settled event, against bench/cost.txt
	@bench/cost.py check

cost-update: cost-build ## writes bench/cost.txt
	@bench/cost.py update

cost-profile: cost-build ## the functions that cost most: make cost-profile CASE=add_token_16
	@bench/cost.py profile "$(or $(CASE),add_token_16)"

e2e: packages-test ## clients, Redis's own suite, differential and kill tests against the release binary
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target quipu quipu_e2e_tools
	@$(CTEST) --test-dir build/release -L 'e2e|integration' -LE 'campaign|slow' -j 1

cost-build: packages-test
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target add_cost

bench-build:
	@cmake --preset release $(QUIET)
	@cmake --build --preset release --target quipu quipu_load quipu_slow_sync quipu_slow_sync_preload

fmt: packages-lint ## format C++ in place
	@git ls-files -z '*.cc' '*.h' | xargs -0 clang-format-19 -i

tidy: packages-lint ## clang-tidy over src: make tidy T=rt for one folder
	@cmake --preset dev $(QUIET)
	@tools/run-tidy $(T)

lint: packages-test ## layers, banned calls, forms; format is checked where clang-format is installed
	@tools/lint

.PHONY: help packages-build packages-run packages-test packages-clang packages-lint build run test dev t asan tsan \
        sim campaign sim-calls sim-plants slow fuzz fuzz-all bench bench-all bench-build bench-smoke cost cost-build \
        cost-update cost-profile e2e fmt tidy lint
QUIET = --log-level=WARNING >/dev/null
