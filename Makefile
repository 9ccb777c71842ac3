# Every command here does its own set-up (scripts/setup.sh). What is built and fetched goes to a cache directory
# outside the clone.
.DEFAULT_GOAL := help
.PHONY: help test lint bench

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millpond
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CACHE)/target)

# One feature set everywhere, so that nothing is compiled twice.
FEATURES := --features test-util,zstd
# Progress for a person, silence for a file.
QUIET := $(shell test -t 2 || echo --quiet)
CARGO_RUN := --locked $(QUIET) $(FEATURES)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

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
