#!/bin/sh
# Checks that the tools the Makefile needs are here. The first one missing gives one line that says
# how to get it, and exit status 1.
# Usage: check_toolchain.sh [PYTHON]

python=${1:-python3}

missing() {
    echo "fastpair: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    missing "'$python' not found: install Python 3.11 or newer (https://www.python.org/downloads/), or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    missing "'$python' is older than 3.11: install a newer one (https://www.python.org/downloads/), or name one: make PYTHON=python3.12"
# Debian and Ubuntu ship venv without ensurepip, and then it makes environments without pip.
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    missing "'$python' has no venv module: install it (Debian and Ubuntu: apt install python3-venv)"
command -v cargo >/dev/null 2>&1 ||
    missing "'cargo' not found: install Rust from https://rustup.rs"

rust_found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$rust_found" ] ||
    missing "'rustc --version' fails: choose a Rust toolchain with 'rustup default stable'"
"$python" -c '
import sys
found, wanted = (tuple(map(int, v.split("-")[0].split(".")[:2])) for v in sys.argv[1:])
sys.exit(found < wanted)
' "$rust_found" "$rust_wanted" 2>/dev/null ||
    missing "Rust $rust_found is older than $rust_wanted: run 'rustup update stable', or install Rust from https://rustup.rs"

# rustc leaves the last step to the C compiler's linker driver.
[ "${OS:-}" = Windows_NT ] || command -v cc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 ||
    missing "no C linker found, and Rust needs one: install gcc or clang (macOS: xcode-select --install)"
