#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian 12 packages that Fairlead needs, by purpose, and install_packages, which installs those that are missing.
# Sourced by the other scripts; run by itself it installs the purposes it is given: scripts/packages.sh build run test

declare -A kPackages=(
    [build]="g++ dpkg-dev meson ninja-build pkg-config clang llvm bpftool libbpf-dev libxdp-dev libelf-dev zlib1g-dev
             libdpdk-dev dpdk libcli11-dev libyaml-cpp-dev libgrpc++-dev libprotobuf-dev protobuf-compiler
             protobuf-compiler-grpc libfmt-dev libspdlog-dev prometheus-cpp-dev libmnl-dev nlohmann-json3-dev
             libgtest-dev libbenchmark-dev libcpp-httplib-dev libcurl4-openssl-dev libpcap-dev libsystemd-dev linux-libc-dev jq"
    [run]="iproute2 iputils-ping ethtool procps util-linux nginx haproxy curl jq python3"
    [test]="python3-scapy python3-matplotlib libclang-rt-14-dev gcc valgrind"
    [package]="debhelper lintian scdoc systemd debootstrap systemd-container"
    [vm]="qemu-system-x86 busybox-static kmod xz-utils pciutils iproute2"
    [perf]="wrk dpdk-dev libnginx-mod-stream valgrind python3-matplotlib"
)

# missing_packages PURPOSE... : prints those that dpkg does not know as installed.
missing_packages() {
    local purpose package
    for purpose in "$@"; do
        for package in ${kPackages[$purpose]}; do
            # A ':' after the name would be an architecture; any installed one will do.
            dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
        done
    done | sort -u
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        echo "packages: installing needs root; run as root, or install: $*" >&2
        return 1
    fi
}

# install_packages PURPOSE : installs what is missing and nothing else. The lab starts its own servers; installing their
# packages must not start the system's, now or at the next boot: kPolicy says so while apt runs, and goes with the subshell.
kPolicy=/usr/sbin/policy-rc.d
kPolicyMark='# Made by scripts/packages.sh of Fairlead while it installs packages; if it is still here, remove it.'

remove_own_policy() {
    if grep -qsxF "$kPolicyMark" "$kPolicy"; then
        as_root rm -f "$kPolicy"
    fi
}

install_packages() (
    status=0
    remove_own_policy || exit 1      # of a run that was killed
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || exit 0
    echo "packages: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    trap remove_own_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ ! -e "$kPolicy" ]; then
        printf '#!/bin/sh\n%s\nexit 101\n' "$kPolicyMark" | as_root tee "$kPolicy" >/dev/null || exit 1
        as_root chmod 755 "$kPolicy" || exit 1
    fi
    { as_root apt-get update -q && as_root apt-get install -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends "${missing[@]}"; } || status=$?
    for server in nginx haproxy; do
        if [ "$status" -ne 0 ] || [[ " ${missing[*]} " != *" $server "* ]]; then continue; fi
        # It works only for a package's own scripts, so that it must be told to be one of them.
        as_root env DPKG_MAINTSCRIPT_PACKAGE="$server" deb-systemd-helper disable "$server.service" >/dev/null 2>&1 || true
    done
    exit "$status"
)

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    install_packages "${@:-build}"
fi
