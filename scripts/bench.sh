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
built=${CARGO_TARGET_DIR:-target}/release
bench=$built/maglane-bench
maglane=$built/maglane

cargo build --release -p maglane-bench -p maglane
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

# The agent itself in a lab, from a client's interface to that of a backend, which is not there to
# answer: the generator is at both ends.
agent_in_a_lab() {
  local between=(--force --xdp generic --dst 10.96.0.80:80
    --tx maglane-default-client/eth0 --rx maglane-default-server/eth0)
  if [ -n "$interrupted" ]; then
    return
  fi
  if "$maglane" lab ls > /dev/null 2>&1; then
    printf '== a lab is up, which is left alone; "maglane lab down", and the agent is measured\n' >&2
    return
  fi
  if "$maglane" lab up -f - < scripts/bench-lab.yaml; then
    measure 60 agent-udp search "${between[@]}" --trial 0.5 --width 2 --latency 1
    measure 30 agent-tcp pktgen "${between[@]}" --protocol tcp --new-flows 2k --rate 50k --duration 5
  fi
  "$maglane" lab down
}

# Together less than 20 minutes, whatever happens.
measure 90 engine engine --rounds 51
measure 20 maglev maglev
agent_in_a_lab
# All sizes of cluster would take longer: `maglane-bench lab` has them.
measure 660 lab-packets lab --rounds 5 --seconds 1 --services 1 --only ndr,max,cpu,latency
measure 120 lab-services lab --rounds 5 --seconds 0.5 --services 1,10000 \
  --subject 'host port, 1 worker, adaptive' --subject kube-proxy --only latency,change,churn
measure 200 lab-real-clients lab --rounds 5 --seconds 1 --services 1 \
  --only bulk,requests,connections
"$bench" report "$results"
