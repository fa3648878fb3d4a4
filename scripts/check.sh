#!/usr/bin/env bash
# Format, lints, documentation, scripts: what must hold before a test is worth running.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$HOME/.cargo/bin:$PATH"
failed=()

# step NAME COMMAND...: goes on after a failure, so that one run tells all.
step() {
  printf 'check: %s\n' "$1"
  "${@:2}" || failed+=("$1")
}

skip() {
  printf 'check: SKIPPED %s: %s is not installed\n' "$1" "$2"
}

scripts=(scripts/*.sh .ci/run)

if cargo fmt --version > /dev/null 2>&1; then
  step format cargo fmt --all --check
else
  skip format rustfmt
fi
if cargo clippy --version > /dev/null 2>&1; then
  step clippy cargo clippy --workspace --all-targets --locked -- -D warnings
else
  skip clippy clippy
fi
step documentation env RUSTDOCFLAGS=-Dwarnings \
  cargo doc --workspace --no-deps --document-private-items --locked
for script in "${scripts[@]}"; do
  step "$script" bash -n "$script"
done
if command -v shellcheck > /dev/null; then
  step shellcheck shellcheck "${scripts[@]}"
else
  skip shellcheck shellcheck
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'check: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
printf 'check: passed\n'
