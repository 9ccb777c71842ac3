#!/bin/sh
# Runs every fuzz target for a while, and stops at the first finding.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]     60 seconds each, all targets
#
# Needs no nightly toolchain: there is no unsafe code to sanitize. A finding is left in fuzz/artifacts. What was learned
# is kept in the cache directory and is where the next run begins.
set -eu
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millpond
seconds=${1:-60}
[ $# -eq 0 ] || shift

PATH=$PATH:$cache/tools/bin
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz into $cache/tools" >&2
    cargo install --quiet --locked --root "$cache/tools" cargo-fuzz
fi
[ $# -gt 0 ] || set -- $(cargo fuzz list)

for target in "$@"; do
    corpus=$cache/corpus/$target
    mkdir -p "$corpus"
    cargo fuzz build --sanitizer none "$target" 2>"$cache/fuzz.log" || {
        cat "$cache/fuzz.log" >&2
        exit 1
    }
    if ! cargo fuzz run --sanitizer none "$target" "$corpus" -- -max_total_time="$seconds" >"$cache/fuzz.log" 2>&1; then
        cat "$cache/fuzz.log" >&2
        echo "fuzz: $target failed" >&2
        exit 1
    fi
    printf '%-32s %s\n' "$target" "$(tail -n 1 "$cache/fuzz.log")"
done
