#!/usr/bin/env bash
# Installs what building, testing and the demo need, where it is missing, and nothing else.
# Debian 12 or later, Ubuntu 22.04 or later. What is there is never upgraded.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$HOME/.cargo/bin:$PATH"

# libxdp and libbpf are built from source, the steering programs with clang against libbpf-dev.
build=(clang llvm libclang-dev libelf-dev zlib1g-dev m4 make pkg-config binutils gcc libc6-dev
  linux-libc-dev libbpf-dev)
# Run by the demo, the tests and the examples.
run=(iproute2 procps ethtool python3 curl ca-certificates)

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

install_packages() {
  local package missing=()
  if ! command -v dpkg-query > /dev/null; then
    printf 'setup: no apt here; make sure that these are there: %s\n' "${build[*]} ${run[*]}"
    return
  fi
  for package in "${build[@]}" "${run[@]}"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  printf 'setup: installing %s\n' "${missing[*]}"
  if ! apt-cache show "${missing[@]}" > /dev/null 2>&1; then
    as_root apt-get update -qq
  fi
  # Lists that are too old name files that are gone: then once more with new ones.
  apt_install "${missing[@]}" || { as_root apt-get update -qq && apt_install "${missing[@]}"; } ||
    fail "apt-get could not install ${missing[*]}"
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

check_kernel
install_packages
install_rust
