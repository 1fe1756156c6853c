# Two commands do all the set-up on a fresh machine: `make demo` runs the main job in memory, `make test` passes every test.

CARGO ?= cargo

.PHONY: demo test platform bench lint fuzz nightly fmt

demo: ## Build and run the daemon's real loop over an in-memory cluster. No cluster, no AWS, no network once built.
	@$(CARGO) build --quiet --locked
	@$(CARGO) run --quiet --locked -- demo --policies policies

test: ## Every test, in stages, with a table of how long each took.
	@tests/stages all

lint: ## Formatting, clippy, dependency rules.
	@tests/stages lint

platform: ## Start the real parts (etcd, kube-apiserver, KRO, ...) and leave them running, for people.
	@$(CARGO) run --quiet --locked -p clonewarden-platform -- up

bench: ## Speed and memory, release build, on the real API server. Prints ratios within one run.
	@tests/stages bench

fuzz: ## Throw bytes at what reads them, 20 seconds a target. FUZZ=-max_total_time=180 for longer.
	@tests/stages fuzz

nightly: ## What takes too long for every change: many simulation seeds, many fuzzing runs.
	@tests/stages nightly

fmt:
	@$(CARGO) fmt --all
