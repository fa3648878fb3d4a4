#!/usr/bin/env bash
# The standard measurements, in under 20 minutes once it is built, and one page of them. Needs root.
#
#   scripts/bench.sh [DIR]      results and report.html go to DIR (default: bench-results)
#
# Installs what is missing; changes nothing else outside namespaces of its own, which go with the
# processes. Interrupted, it keeps what was measured and still writes the page. Let nothing else run
# meanwhile.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
results=$(realpath -m "${1:-bench-results}")
cd "$root"
scripts/setup.sh --measuring
export PATH="$HOME/.cargo/bin:$PATH"
bench=${CARGO_TARGET_DIR:-target}/release/maglane-bench

cargo build --release -p maglane-bench
cargo build --release -p maglane-dataplane --example bare_forwarder
mkdir -p "$results"
# Results of before stand on the page, too: one that cannot be read is said now, not at the end.
if compgen -G "$results/*.json" > /dev/null; then
  "$bench" report "$results"
fi

interrupted=
trap 'interrupted=yes' INT TERM

# measure SECONDS NAME COMMAND...: saves a result when there is one, whole or not. What takes longer
# is interrupted, and keeps what it has by then.
measure() {
  local limit_s=$1 name=$2
  local part=$results/$name.json.part
  if [ -n "$interrupted" ]; then
    return
  fi
  printf '== %s, %(%T)T: maglane-bench %s\n' "$name" -1 "${*:3}" >&2
  timeout --foreground --signal INT --kill-after 10 "$limit_s" \
    "$bench" "${@:3}" -o json > "$part" || true
  if [ -s "$part" ]; then
    mv "$part" "$results/$name.json"
  else
    rm -f "$part"
    printf '== %s: nothing was measured\n' "$name" >&2
  fi
}

# Together less than 20 minutes, whatever happens.
measure 90 engine engine --rounds 51
measure 20 maglev maglev
# All sizes of cluster in five rounds would take longer: `maglane-bench lab` has them.
measure 760 lab-packets lab --rounds 5 --seconds 0.3 --services 1,10000 \
  --only ndr,max,cpu,latency,change
measure 270 lab-real-clients lab --rounds 5 --seconds 1 --services 1 \
  --only churn,bulk,requests,connections
"$bench" report "$results"
