#!/usr/bin/env bash
# Runs every check and every test, those on the real network included. Needs root.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$HOME/.cargo/bin:$PATH"

if [ "$(id -u)" -ne 0 ]; then
  printf 'test: the network tests make namespaces and load BPF programs: run %s as root\n' "$0" >&2
  exit 1
fi
if [ -e /run/maglane/lab ]; then
  printf 'test: a lab is up, and there is one lab a machine: maglane lab down\n' >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

scripts/setup.sh --measuring
scripts/check.sh || failed=1

# The names of those that passed, once more, and what they wrote: only the skipped ones' reasons.
only_new() {
  awk '/^successes:$/ { quiet = 1 } /^(failures:|test result:)/ { quiet = 0 } !quiet || /^SKIPPED/'
}

# Tests that need the machine for themselves take turns on their own.
cargo test --workspace --locked --no-fail-fast -- --show-output 2>&1 | tee "$log" | only_new ||
  failed=1

printf '\nSkipped:\n'
{ grep -E '^SKIPPED' "$log" || printf 'nothing\n'; } | sort -u
printf '\nFailed:\n'
{ grep -E '^test .* FAILED$' "$log" || printf 'nothing\n'; } | sort -u
printf '\n'
[ "$failed" -eq 0 ] || printf 'Not everything passed: see above.\n'
grep -E '^ +(Running|Doc-tests) |^test result: ' "$log"
exit "$failed"
