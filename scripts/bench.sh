#!/usr/bin/env bash
# The standard measurements, in under 20 minutes, and one page of them. Needs root.
#
#   scripts/bench.sh [DIR]      results and report.html go to DIR (default: bench-results)
#
# Changes nothing outside namespaces of its own, which go with the processes. Interrupted, it keeps
# what was measured and still writes the page. Let nothing else run meanwhile.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
results=$(realpath -m "${1:-bench-results}")
cd "$root"
export PATH="$HOME/.cargo/bin:$PATH"
bench=${CARGO_TARGET_DIR:-target}/release/maglane-bench

cargo build --release -p maglane-bench
cargo build --release -p maglane-dataplane --example bare_forwarder
mkdir -p "$results"

interrupted=
trap 'interrupted=yes' INT TERM

# measure NAME COMMAND...: saves a result when there is one, whole or not.
measure() {
  if [ -n "$interrupted" ]; then
    return
  fi
  printf '== %s: maglane-bench %s\n' "$1" "${*:2}" >&2
  if "$bench" "${@:2}" -o json > "$results/$1.json.part"; then
    mv "$results/$1.json.part" "$results/$1.json"
  else
    rm -f "$results/$1.json.part"
    printf '== %s: nothing was measured\n' "$1" >&2
  fi
}

measure engine engine --rounds 51
measure maglev maglev
measure lab-packets lab --rounds 5 --seconds 0.3 --only ndr,max,cpu,latency,change
measure lab-connections lab --rounds 5 --seconds 1 --services 1 \
  --only churn,bulk,requests,connections
"$bench" report "$results"
