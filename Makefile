# The commands of a newcomer; cmake --preset does the work.  Every target installs what it lacks.
SHELL := /bin/bash
JOBS  ?= $(shell nproc)
ARGS  ?=
FUZZ_SECONDS ?= 60
# Sanitizers of this age do not always find room where addresses are widely randomised.
STABLE := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.DEFAULT_GOAL := help
.PHONY: help up build test test-release tsan lint format coverage bench bench-reads soak valgrind fuzz clean packages packages-run
# One target after the other, also under -j: they share build/.
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS=… passes options on (up, test, bench, soak), JOBS=… sets how many compilers run'

up: build ## build, start everything, send a first lead; ARGS="--port 0 --state DIR"
	build/bin/plumb up $(ARGS)

build: packages-run ## build for production into build/
	cmake --preset release
	cmake --build build -j $(JOBS)

test: packages ## build with sanitizers, warnings as errors, and run every test; ARGS="-R broker"
	cmake --preset dev -DPLUMB_WERROR=ON
	cmake --build build/dev -j $(JOBS)
	$(STABLE) scripts/run-tests build/dev $(ARGS)

test-release: packages build ## the end-to-end tests on what runs in production; ARGS="-R first_lead"
	cmake --build build -j $(JOBS) --target plumb_tools
	$(STABLE) scripts/run-tests build $(ARGS)

tsan: packages ## the same under the thread sanitizer
	cmake --preset tsan -DPLUMB_WERROR=ON
	cmake --build build/tsan -j $(JOBS)
	$(STABLE) scripts/run-tests build/tsan $(ARGS)

lint: packages ## clang-format, clang-tidy, cppcheck; only findings fail
	cmake --preset dev -DPLUMB_WERROR=ON
	JOBS=$(JOBS) scripts/lint build/dev

format: packages ## lay out every C file
	scripts/c-files -0 | xargs -0 -r clang-format-14 -i

coverage: packages ## run the tests and say which lines they reached
	cmake --preset coverage
	cmake --build build/coverage -j $(JOBS)
	find build/coverage -name '*.gcda' -delete
	scripts/run-tests build/coverage $(ARGS)
	mkdir -p build/coverage/report
	gcovr --root . --object-directory build/coverage -j $(JOBS) --exclude tests/ --exclude bench/ \
	    --exclude-unreachable-branches --print-summary --html-details build/coverage/report/index.html \
	    --txt build/coverage/report/index.txt
	@cat build/coverage/report/index.txt
	@echo 'line by line: build/coverage/report/index.html'

bench: packages build ## measure, against the machine's own ceilings; ARGS go to bench/run.py
	cmake --build build -j $(JOBS) --target plumb_bench plumb_tools
	PLUMB_SOURCE=$(CURDIR) PLUMB_BUILD=$(CURDIR)/build python3 bench/run.py $(ARGS)

bench-reads: packages build ## measure lists, board and counters over a million leads; ARGS go to bench/reads.py
	cmake --build build -j $(JOBS) --target plumb_bench plumb_tools
	PLUMB_SOURCE=$(CURDIR) PLUMB_BUILD=$(CURDIR)/build python3 bench/reads.py $(ARGS)

soak: packages build ## the long run of kills against the release build; ARGS go to tests/e2e/soak.py
	cmake --build build -j $(JOBS) --target plumb_tools
	PLUMB_SOURCE=$(CURDIR) PLUMB_BUILD=$(CURDIR)/build python3 tests/e2e/soak.py $(ARGS)

valgrind: packages ## the broker's and the worker's tests under valgrind
	cmake --preset valgrind
	cmake --build build/valgrind -j $(JOBS)
	scripts/valgrind-tests build/valgrind broker worker

fuzz: packages ## each fuzzer for FUZZ_SECONDS
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS)
	$(STABLE) scripts/run-fuzzers build/fuzz $(FUZZ_SECONDS)

clean: ## remove build/
	rm -rf build

packages:
	@scripts/install-packages

packages-run:
	@scripts/install-packages build run
