#!/bin/sh
# Makes sure that what millpond's build, tests and demo need is on this machine. Prints nothing when all is there.
#
#   scripts/setup.sh          for building and the demo
#   scripts/setup.sh test     also rustfmt and clippy
#
# System packages that are missing are installed with apt-get as root or through password-less sudo; otherwise the
# command to run is printed and the script fails.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

have_pip() { python3 -c 'import pip' >/dev/null 2>&1; }

# RocksDB's bindings load libclang.so and need the compiler's own headers; neither needs clang on the PATH.
have_libclang() {
    for dir in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib/llvm-*/lib /usr/lib/llvm*/lib64 /usr/lib/*-linux-gnu \
        /usr/lib64 /usr/lib /usr/local/lib; do
        for lib in "$dir"/libclang.so* "$dir"/libclang-[0-9]*.so*; do
            [ -e "$lib" ] && have_clang_headers "$dir" && return 0
        done
    done
    return 1
}

have_clang_headers() {
    for header in "$1"/clang/*/include/stddef.h /usr/lib/llvm-*/lib/clang/*/include/stddef.h \
        /usr/lib/clang/*/include/stddef.h /usr/lib64/clang/*/include/stddef.h; do
        [ -e "$header" ] && return 0
    done
    return 1
}

# What is needed: Debian package | command that succeeds when it is there.
needs='
gcc          | have cc
g++          | have c++
make         | have make
python3      | have python3
python3-pip  | have_pip
libclang-dev | have_libclang
'

missing_packages() {
    printf '%s' "$needs" | while IFS='|' read -r package check; do
        [ -z "$package" ] || eval "$check" || printf ' %s' $package
    done
}

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

install_packages() {
    as_root=''
    have apt-get || fail "these Debian packages, or what your system calls them, are missing:$1" \
        "install them and run the same command again"
    if [ "$(id -u)" -ne 0 ]; then
        { have sudo && sudo -n true 2>/dev/null; } || fail "these packages are missing:$1" \
            "install them, then run the same command again:" "  sudo apt-get update && sudo apt-get install -y$1"
        as_root='sudo -n'
    fi
    echo "setup: installing$1" >&2
    log=$(mktemp)
    # shellcheck disable=SC2086 # both are lists of words
    if ! { $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $1; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install:$1"
    fi
    rm -f "$log"
}

if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    fail "cargo is installed but not on the PATH; run:  . \"${CARGO_HOME:-$HOME/.cargo}/env\""
fi
have cargo || fail "there is no Rust toolchain (cargo); see https://rustup.rs, then run the same command again"
if [ "${1:-}" = test ]; then
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 ||
            fail "cargo $tool is missing; run:  rustup component add rustfmt clippy"
    done
fi

missing=$(missing_packages)
if [ -n "$missing" ]; then
    install_packages "$missing"
    missing=$(missing_packages)
    [ -z "$missing" ] || fail "still not found after the installation:$missing"
fi
