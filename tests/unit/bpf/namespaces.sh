# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # $traffic is the including test's
# For the tests that put fairlead-backend in front of real kernels: sourced by them. They set $traffic, the
# program that makes traffic, and $namespaces, which are deleted at the end with everything in them.
scratch=$(mktemp -d)
namespaces=()
started=()

clean_up() {
    local item
    for item in "${started[@]}"; do kill "$item" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for item in "${namespaces[@]}"; do ip netns del "$item" 2>/dev/null || true; done
    rm -rf "$scratch"
}

skip() { echo "skipped: $1"; exit 77; }
fail() { echo "FAIL: $1"; exit 1; }

expect() { # WHAT WANTED GOT
    [[ "$2" == "$3" ]] || fail "$1: expected '$2', got '$3'"
    echo "ok: $1: $3"
}

start() { # NAMESPACE ARGUMENTS...: runs traffic in the background until it is ready; its pid is in $last
    local namespace=$1 log=$scratch/log.${#started[@]} tries
    shift
    : >"$log"
    ip netns exec "$namespace" timeout 90 python3 -IS "$traffic" "$@" >"$log" 2>&1 &
    last=$!
    started+=("$last")
    for ((tries = 0; tries < 200; ++tries)); do
        grep -q ready "$log" && return
        sleep 0.05
    done
    fail "$* did not start: $(cat "$log")"
}

make_namespaces() { # NAME...: skips the test where that, or what else is needed for it, is not possible
    local name tool
    [[ $EUID == 0 ]] || skip "needs root for network namespaces and XDP"
    for tool in ip ethtool python3; do command -v "$tool" >/dev/null || skip "needs $tool"; done
    [[ -c /dev/net/tun ]] || skip "needs /dev/net/tun"
    trap clean_up EXIT
    for name in "$@"; do
        ip netns add "$name" 2>/dev/null || skip "cannot make network namespaces"
        namespaces+=("$name")
    done
}
