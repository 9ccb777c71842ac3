# Every command here does its own set-up (scripts/setup.sh). What is built and fetched goes to a cache directory
# outside the clone.
.DEFAULT_GOAL := help
.PHONY: help demo demo-flink demo-faults test lint bench fuzz flink-lab

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millpond
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CACHE)/target)

# FLIGHTS=--generate takes made-up flights; DEMO hands options to the demo, for example DEMO='--parallelism 1,8'.
FLIGHTS ?=
DEMO ?=

# One feature set everywhere, so that nothing is compiled twice.
FEATURES := --features cli,test-util,zstd
# Progress for a person, silence for a file.
QUIET := $(shell test -t 2 || echo --quiet)
CARGO_RUN := --locked $(QUIET) $(FEATURES)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: ## set up, run the job on real data, kill and rescale it twice, prove the result, move to RocksDB, prove it again
	@scripts/setup.sh
	@cargo build --release $(CARGO_RUN) --example flights
	@rm -rf '$(CACHE)/demo' && mkdir -p '$(CACHE)/demo'
	@input=$$(python3 scripts/flights.py '$(CACHE)/flights' $(FLIGHTS)) && \
	'$(CARGO_TARGET_DIR)/release/examples/flights' demo --input "$$input" --work '$(CACHE)/demo' \
		--oracle examples/flights/oracle.py $(DEMO)
	@$(MAKE) --no-print-directory demo-flink

# A savepoint that Flink 1.20 wrote.
FLINK_SAVEPOINT := tests/fixtures/flink/1.20.5/A/core-rocksdb-lz-canonical/savepoint

demo-flink: ## look into a savepoint of Apache Flink, go on with its state in Rust, write it back for Flink
	@scripts/setup.sh
	@cargo build --release $(CARGO_RUN) --example flink --bin millpond
	@rm -rf '$(CACHE)/demo-flink' && mkdir -p '$(CACHE)/demo-flink'
	@'$(CARGO_TARGET_DIR)/release/millpond' inspect $(FLINK_SAVEPOINT)
	@'$(CARGO_TARGET_DIR)/release/examples/flink' $(FLINK_SAVEPOINT) '$(CACHE)/demo-flink'
	@'$(CARGO_TARGET_DIR)/release/millpond' verify '$(CACHE)/demo-flink/for-flink'

demo-faults: ## the same with failing tasks, overdue checkpoints and unreliable storage, which the job survives by itself
	@$(MAKE) --no-print-directory demo DEMO='--faults $(DEMO)'

test: lint ## set up, check format, lints and documentation, run all tests
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked $(if $(QUIET),--cargo-quiet) $(FEATURES) --status-level fail --final-status-level fail && \
		cargo test $(CARGO_RUN) --doc; \
	else \
		cargo test $(CARGO_RUN); \
	fi

lint: ## set up, check format, lints and documentation
	@scripts/setup.sh test
	@cargo fmt --check
	@cargo clippy $(CARGO_RUN) --all-targets -- -D warnings
	@RUSTDOCFLAGS='-D warnings' cargo doc $(CARGO_RUN) --no-deps

bench: ## set up, run the benchmarks and their baselines
	@scripts/setup.sh
	@cargo bench $(CARGO_RUN)

fuzz: ## set up, run every fuzz target for FUZZ_SECONDS (60)
	@scripts/setup.sh
	@scripts/fuzz.sh

flink-lab: ## have a real Apache Flink 1.20 and 2.3 restore what millpond writes (needs ../shared, Java and pip)
	@scripts/setup.sh
	@scripts/flink-lab.sh
