#!/usr/bin/env bash
# Builds Maglane, and shows on a lab of network namespaces what it does. Needs root.
# Changes nothing outside the lab, ends by itself, and fails if anything it says does not hold.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export PATH="$HOME/.cargo/bin:$PATH"
maglane=${CARGO_TARGET_DIR:-target}/release/maglane
web=deploy/examples/web.yaml
echo=deploy/examples/udp-echo.yaml
requests=300

bold='' dim='' green='' red='' plain='' block='#'
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
if [ "$(locale charmap 2> /dev/null)" = UTF-8 ]; then
  block='█'
fi

failed=0
load=
lab_is_ours=
work=$(mktemp -d)

put_away() {
  trap - EXIT INT TERM
  if [ -n "$load" ]; then
    kill -KILL "$load" 2> /dev/null || true
  fi
  if [ -n "$lab_is_ours" ]; then
    "$maglane" lab down > /dev/null 2>&1 || true
  fi
  rm -rf "$work"
}
trap put_away EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() {
  printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

show() {
  printf '%s$ maglane %s%s\n' "$dim" "$*" "$plain"
}

# Shows a command as somebody would type it, and runs it.
run() {
  show "$@"
  quietly "$@"
}

# The same with kubectl, which talks to the lab's own API.
kube() {
  printf '%s$ kubectl %s%s\n' "$dim" "$*" "$plain"
  KUBECONFIG=$("$maglane" lab kubeconfig) kubectl "$@"
}

# What it does step by step goes to standard error, and is shown only when it fails.
quietly() {
  "$maglane" "$@" 2> "$work/errors" || {
    cat "$work/errors"
    return 1
  }
}

# claim TEXT CONDITION...: says that something holds, or that it does not.
claim() {
  local text=$1
  shift
  if "$@"; then
    printf '  %sok%s      %s\n' "$green" "$plain" "$text"
  else
    printf '  %sFAILED%s  %s\n' "$red" "$plain" "$text"
    failed=1
  fi
}

# field KIND FILE [COLUMN]: one column of the lines of a kind.
field() {
  awk -v kind="$1" -v column="${3:-2}" '$1 == kind { print $column }' "$2"
}

# sum FILE, of "pod NAME NUMBER".
sum() {
  field pod "$1" 3 | awk '{ sum += $1 } END { print sum + 0 }'
}

# bars FILE: a bar for each Pod.
bars() {
  local pod number bar all width
  all=$(sum "$1")
  width=$(field pod "$1" | awk '{ if (length > most) most = length } END { print most + 2 }')
  while read -r _ pod number; do
    printf -v bar '%*s' $((number * 60 / (all > 0 ? all : 1))) ''
    printf '  %-*s %4d %s\n' "$width" "$pod" "$number" "${bar// /$block}"
  done < <(grep '^pod ' "$1" || true)
  { grep '^failure ' "$1" || true; } | head -n 3
}

# Whether each of COUNT Pods has a fair share: five standard deviations around it.
fair() {
  awk -v pods="$2" '
    $1 == "pod" { all += $3; share[$2] = $3 }
    END {
      fair = all / pods; slack = 5 * sqrt(fair * (1 - 1 / pods))
      for (pod in share) { count++; if (share[pod] < fair - slack || share[pod] > fair + slack) bad = 1 }
      exit bad || count != pods
    }' "$1"
}

# ask WHERE PROTOCOL ADDRESS PORT COUNT FILE: from a Pod, or from --node.
ask() {
  "$maglane" lab exec "$1" -- python3 "$root/scripts/client.py" "$2" "$3" "$4" "$5" > "$6"
}

# cluster_ips SERVICE
cluster_ips() {
  "$maglane" lab ls -o json | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
print(*next(service["cluster_ips"] for service in services if service["name"] == sys.argv[1]))' "$1"
}

# spread WHERE FROM PROTOCOL ADDRESS PORT PODS SOURCE: asks, draws and checks.
spread() {
  local file=$work/spread shown=$4
  [[ $4 != *:* ]] || shown="[$4]"
  printf '%s\n' "$requests ${3^^} requests from $2 to $shown:$5"
  ask "$1" "$3" "$4" "$5" "$requests" "$file"
  bars "$file"
  claim "$(sum "$file") of $requests answered" test "$(sum "$file")" -eq "$requests"
  claim "each of the $6 Pods has its share" fair "$file" "$6"
  claim "the Pods saw $(field client "$file" | xargs) as the client" \
    test "$(field client "$file")" = "$7"
}

# phase NUMBER: what the new connections of one phase of the load met.
phase() {
  sed -n "s/^phase $1 /pod /p" "$work/load" > "$work/phase"
}

nothing_left() {
  [ ! -e /run/maglane/lab ] && ! ip netns list | grep -q '^maglane-'
}

start() {
  [ "$(id -u)" -eq 0 ] || {
    printf 'demo: network namespaces and AF_XDP need root: sudo %s\n' "$0" >&2
    exit 1
  }
  scripts/setup.sh
  title 'Building'
  cargo build --release --locked -p maglane
  if "$maglane" lab ls > /dev/null 2>&1; then
    printf 'demo: a lab is up already: %s lab down\n' "$maglane" >&2
    exit 1
  fi
}

topology() {
  title "A node, four Pods, and a virtual IP that no machine has"
  cat << 'END'

            node: a network namespace
  +---------------------------------------------------+
  |             workers of Maglane, AF_XDP            |
  |                      mlg0                         |
  |                       ||  the host port, a veth    |
  |                      mlg1                         |
  |     tc          tc          tc          tc        |
  +-----+-----------+-----------+-----------+---------+
        |           |           |           |   a veth each
     client       web-1       web-2       web-3
                    '-----------+-----------'
                          Service "web"

END
}

lab_up() {
  local workers=1
  [ "$(nproc)" -lt 2 ] || workers=2
  lab_is_ours=yes
  run lab up --workers "$workers" -f "$web"
  read -r vip4 vip6 <<< "$(cluster_ips web)"
  run lab ls
  run services
}

story_spread() {
  title 'New connections, over IPv4 and IPv6, from a Pod and from the node'
  spread client client tcp "$vip4" 80 3 10.244.0.1
  if [ -n "$vip6" ]; then
    spread client client tcp "$vip6" 80 3 fd00:10:244::1
  fi
  spread --node "the node" tcp "$vip4" 80 3 192.168.0.2
}

story_udp() {
  title 'One more Service, applied to the running lab: UDP'
  run lab apply -f "$echo"
  read -r echo4 _ <<< "$(cluster_ips echo)"
  spread client client udp "$echo4" 7 2 10.244.0.1
}

story_kubectl() {
  local hello
  command -v kubectl > /dev/null || return 0
  title 'The lab is a small cluster, and kubectl works with it'
  kube apply -f deploy/examples/service.yaml
  kube rollout status deployment/hello --timeout=60s
  kube get services,pods,endpointslices -l app=hello
  read -r hello _ <<< "$(cluster_ips hello)"
  spread client client tcp "$hello" 80 3 10.244.0.1
  kube scale deployment hello --replicas=5
  kube rollout status deployment/hello --timeout=60s
  spread client client tcp "$hello" 80 5 10.244.0.1
  kube delete -f deploy/examples/service.yaml --timeout=60s
}

story_leave() {
  local lost kept part
  title 'A Pod goes and comes back, under load'
  printf '%s\n' 'New connections one after the other, and 24 that are kept and used all the time.'
  "$maglane" lab exec client -- python3 "$root/scripts/client.py" load "$vip4" 80 \
    > "$work/load" &
  load=$!
  sleep 2
  kill -USR1 "$load"
  show lab delete -f - '  # the Pod web-2'
  quietly lab delete -f - <<< '{apiVersion: v1, kind: Pod, metadata: {name: web-2}}'
  kill -USR1 "$load"
  sleep 2
  kill -USR1 "$load"
  # Nobody is sent to it before its process listens.
  show lab apply -f "$web"
  quietly lab apply -f "$web" | grep -v unchanged
  kill -USR1 "$load"
  sleep 2
  kill -TERM "$load"
  wait "$load" || failed=1
  load=

  for part in '0 with all three' '2 without web-2' '4 with web-2 again'; do
    printf '%s\n' "New connections ${part#* }"
    phase "${part%% *}"
    bars "$work/phase"
    claim 'all of its Pods take part, and no other' fair "$work/phase" \
      $((${part%% *} == 2 ? 2 : 3))
  done
  { grep -E '^(failure|moved) ' "$work/load" || true; } | head -n 5
  kept=$(field kept "$work/load")
  lost=$(grep -c '^failure ' "$work/load" || true)
  claim "no connection failed, new or kept" test "$lost" -eq 0
  claim "$kept requests on kept connections, each answered by the connection's own Pod" \
    test "$kept" -gt 500 -a "$(grep -c '^moved ' "$work/load" || true)" -eq 0
  claim "only connections to web-2 were closed, by web-2 itself" \
    test "$(field hung_up "$work/load" | sort -u | xargs)" = web-2
}

inside() {
  title 'What Maglane counted'
  run status
  # What the node's kernel itself sends into mlg1, as multicast listener reports, is for nobody.
  "$maglane" status | grep -v ' drop_unallocated_address ' > "$work/status"
  claim 'no packet of all this was dropped' \
    test "$(grep -cE ' (drop|malformed)_' "$work/status" || true)" -eq 0
  title 'Some of the connections that it tracks'
  show flows
  # Two of each kind.
  "$maglane" flows --limit 100000 | awk 'NR == 1 || seen[$1, $6, $2 ~ /^\[/]++ < 2'
}

leave() {
  title 'Putting it away'
  run lab down
  lab_is_ours=
  claim 'no namespace and no file is left' nothing_left
}

start
topology
lab_up
story_spread
story_udp
story_kubectl
story_leave
inside
leave

if [ "$failed" -ne 0 ]; then
  printf '\n%sNot everything that was said above holds.%s\n' "$red" "$plain"
  exit 1
fi
printf '\n%sAll of it holds.%s Try it by hand: README.md says how.\n' "$green" "$plain"
