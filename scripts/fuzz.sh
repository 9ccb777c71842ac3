#!/bin/sh
# Runs the fuzz targets one after the other, prints executions and findings of each, and fails if there are any findings.
#
#   scripts/fuzz.sh [TARGET...]     all targets unless some are named
#
#   FUZZ_SECONDS     seconds per target, 60 unless set
#   FUZZ_SANITIZER   none unless set; address needs a nightly toolchain, or runs the stable one as if it were nightly
#
# What was learned is kept in the cache directory, where the next run begins. A finding is left in fuzz/artifacts; copied
# to fuzz/regressions/TARGET/ it is replayed by the ordinary tests.
set -eu
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millpond
seconds=${FUZZ_SECONDS:-60}
sanitizer=${FUZZ_SANITIZER:-none}
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
PATH=$PATH:$cache/tools/bin
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz into $cache/tools" >&2
    quietly cargo install --locked --root "$cache/tools" cargo-fuzz
fi
[ $# -gt 0 ] || set -- $(cargo fuzz list)

MILLPOND_FUZZ_SEEDS=$cache/seeds quietly \
    cargo test --locked --features cli,test-util,zstd --test main write_fuzz_seeds -- --ignored

toolchain=''
if [ "$sanitizer" != none ]; then
    if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then toolchain=+nightly; else export RUSTC_BOOTSTRAP=1; fi
fi
CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz
echo "fuzz: building $# targets" >&2
for target in "$@"; do
    quietly cargo $toolchain fuzz build --sanitizer "$sanitizer" "$target"
done

number() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }

findings=0
printf '%-28s %12s %10s %9s\n' target executions per_second findings
for target in "$@"; do
    corpus=$cache/corpus/$target
    mkdir -p "$corpus" "$cache/seeds/$target" "fuzz/regressions/$target"
    found=0
    cargo $toolchain fuzz run --sanitizer "$sanitizer" "$target" "$corpus" "$cache/seeds/$target" \
        "fuzz/regressions/$target" -- -max_total_time="$seconds" -timeout=20 -print_final_stats=1 >"$log" 2>&1 || found=1
    rmdir "fuzz/regressions/$target" 2>/dev/null || true
    printf '%-28s %12s %10s %9s\n' "$target" "$(number number_of_executed_units)" "$(number average_exec_per_sec)" "$found"
    if [ $found -ne 0 ]; then
        findings=$((findings + 1))
        tail -n 60 "$log" >&2
    fi
done
[ $findings -eq 0 ] || {
    echo "fuzz: $findings targets failed; the inputs are in fuzz/artifacts" >&2
    exit 1
}
