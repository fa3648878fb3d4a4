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

# From here on less than 20 minutes, whatever happens: what does not stop when it is told to is ended
# 10 s later.
deadline_s=$((SECONDS + 20 * 60 - 20))
interrupted=
unmeasured=()
running=
# The shell's own waiting ends with a signal, a command's in the foreground does not: what runs is
# told at once, and says what it has.
stop() {
  interrupted=yes
  if [ -n "$running" ]; then
    kill "$running" 2> /dev/null || true
  fi
}
trap stop INT TERM HUP

# limited SECONDS COMMAND...: runs it, tells it to stop after so long, and ends it 10 s later.
limited() {
  timeout --foreground --kill-after 10 "$@" &
  running=$!
  local code=0
  # A signal ends the wait, but not what is waited for.
  while wait "$running" || code=$?; [ "$code" -gt 128 ] && kill -0 "$running" 2> /dev/null; do
    code=0
  done
  running=
  return "$code"
}

# set_aside NAME: a result of before never stands as one of now.
set_aside() {
  if [ -e "$results/$1.json" ]; then
    mv "$results/$1.json" "$results/$1.json.before"
  fi
}

# not_measured NAME...: said at the end.
not_measured() {
  local name
  for name; do
    set_aside "$name"
    unmeasured+=("$name")
  done
}

# measure SECONDS NAME COMMAND...: saves a result when there is one, whole or not. What takes longer
# is interrupted, and keeps what it has by then.
measure() {
  local limit_s=$1 name=$2
  local result=$results/$name.json
  local part=$result.part
  if [ -n "$interrupted" ]; then
    not_measured "$name"
    return
  fi
  printf '== %s, %(%T)T: maglane-bench %s\n' "$name" -1 "${*:3}" >&2
  set_aside "$name"
  limited "$limit_s" "$bench" "${@:3}" -o json > "$part" || true
  if [ -s "$part" ]; then
    mv "$part" "$result"
    rm -f "$result.before"
  else
    rm -f "$part"
    not_measured "$name"
    printf '== %s: nothing was measured\n' "$name" >&2
  fi
}

# The agent itself in a lab, from a client's interface to that of a backend, which is not there to
# answer: the generator is at both ends.
agent_in_a_lab() {
  local between=(--force --xdp generic --dst 10.96.0.80:80
    --tx maglane-default-client/eth0 --rx maglane-default-server/eth0)
  if [ -n "$interrupted" ]; then
    not_measured agent-udp agent-tcp
    return
  fi
  if "$maglane" lab ls > /dev/null 2>&1; then
    printf '== a lab is up, which is left alone; "maglane lab down", and the agent is measured\n' >&2
    not_measured agent-udp agent-tcp
    return
  fi
  if limited 40 "$maglane" lab up -f scripts/bench-lab.yaml; then
    measure 60 agent-udp search "${between[@]}" --trial 0.5 --width 2 --latency 1
    measure 20 agent-tcp pktgen "${between[@]}" --protocol tcp --new-flows 2k --rate 50k --duration 5
  else
    not_measured agent-udp agent-tcp
  fi
  # A signal is no reason to leave it behind.
  timeout --kill-after 10 40 "$maglane" lab down
}

measure 60 engine engine --rounds 51
measure 20 maglev maglev
agent_in_a_lab
measure 110 lab-real-clients lab --rounds 5 --seconds 1 --services 1 \
  --only bulk,requests,connections
measure 180 lab-services lab --rounds 5 --seconds 0.5 --services 1,10000 \
  --subject 'host port, 1 worker, adaptive' --subject kube-proxy --only latency,change,churn
# Some twelve minutes: last, with all the time that is left. All sizes of cluster, busy and second
# workers would take longer: `maglane-bench lab` has them.
measure "$((deadline_s - SECONDS))" lab-packets lab --rounds 5 --seconds 1 --services 1 \
  --only ndr,max,cpu,latency --subject kernel --subject '1 worker, adaptive' \
  --subject 'XDP ports' --subject bare --subject kube-proxy
if compgen -G "$results/*.json" > /dev/null; then
  "$bench" report "$results"
fi
if [ "${#unmeasured[@]}" -gt 0 ]; then
  printf '== not measured: %s\n' "${unmeasured[*]}" >&2
  exit 1
fi
if [ -n "$interrupted" ]; then
  exit 130
fi
