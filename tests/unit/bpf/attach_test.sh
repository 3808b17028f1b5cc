#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fairlead-backend in front of a real kernel: UDP and TCP through GUE and IPIP to a VIP on lo, answered
# directly; what is refused, counted; nothing left after detach. Two network namespaces and a veth.
#   attach_test.sh PATH-TO-fairlead-backend
# Exit: 0 passed, 1 failed, 77 skipped (no privileges, or no tool for it).
set -euo pipefail

program=$(readlink -f "$1")
traffic=$(dirname "$(readlink -f "$0")")/attach_traffic.py
client=bpf-$$-client
backend=bpf-$$-backend
# shellcheck source=tests/unit/bpf/namespaces.sh
source "$(dirname "$(readlink -f "$0")")/namespaces.sh"

in_client() { ip netns exec "$client" "$@"; }
in_backend() { ip netns exec "$backend" "$@"; }

balancer=
balance() { # ARGUMENTS...: puts another balancer in place of the running one
    if [[ -n $balancer ]]; then
        kill "$balancer"
        wait "$balancer" 2>/dev/null || true
    fi
    start "$client" balance --tun t0 --backend 10.77.0.2 "$@"
    balancer=$last
}

ask() { in_client timeout 60 python3 -IS "$traffic" ask "$@"; }

packets() { # OUTCOME
    in_backend "$program" status --interface b0 -o json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["outcomes"][sys.argv[1]]["packets"])' "$1"
}

expect_refused() { # OUTCOME PROTOCOL ADDRESS PORT: five messages, none answered, each counted
    local before
    before=$(packets "$1")
    expect "$1: answered" 0 "$(ask "$2" "$3" "$4" --count 5 --timeout 0.1)"
    expect "$1: counted" $((before + 5)) "$(packets "$1")"
}

expect_exit() { # CODE LINE-PATTERN COMMAND...
    local code=0 wanted=$1 pattern=$2 line
    shift 2
    line=$("$@" 2>&1) || code=$?
    expect "exit code of: ${*##*/}" "$wanted" "$code"
    [[ $line =~ $pattern ]] || fail "expected '$pattern' in '$line'"
    [[ $(wc -l <<<"$line") == 1 ]] || fail "more than one line: $line"
}

make_namespaces "$client" "$backend"
ip -n "$client" link add c0 type veth peer name b0 netns "$backend"
in_client ethtool -K c0 tx off >/dev/null # an encapsulated checksum left to hardware never gets done
in_client sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip -n "$client" address add 10.77.0.1/24 dev c0
ip -n "$client" address add 10.77.0.9/24 dev c0
ip -n "$client" link set c0 up
ip -n "$client" tuntap add t0 mode tun
ip -n "$client" link set t0 mtu 1300 up
ip -n "$client" route add 198.51.100.0/24 dev t0 src 10.77.0.1
in_client sysctl -qw net.ipv4.conf.c0.rp_filter=0 net.ipv4.conf.t0.rp_filter=0
ip -n "$backend" address add 10.77.0.2/24 dev b0
ip -n "$backend" address add 198.51.100.10/32 dev lo
ip -n "$backend" address add 198.51.100.11/32 dev lo
ip -n "$backend" link set lo up
ip -n "$backend" link set b0 up
for address in 198.51.100.10 198.51.100.11 10.77.0.2; do start "$backend" serve "$address" 8080; done

balance --encapsulation gue --source 10.77.0.1
expect "without the program, answered" 0 "$(ask udp 198.51.100.10 8080 --count 2 --timeout 0.2)"
expect_exit 1 "not attached" in_backend "$program" status --interface b0
expect_exit 1 "no interface named 'b7'" \
    in_backend "$program" attach --interface b7 --allow-balancer 10.77.0.1 --vip 198.51.100.10
expect_exit 2 "--allow-balancer: '10.77.0' is not" \
    in_backend "$program" attach --interface b0 --allow-balancer 10.77.0 --vip 198.51.100.10
expect_exit 2 "--vip is required" in_backend "$program" attach --interface b0 --allow-balancer 10.77.0.1

attach() { in_backend "$program" attach --interface b0 --allow-balancer 10.77.0.1 --vip 198.51.100.10 "$@"; }
for mode in native generic; do
    echo "== $mode"
    attach --mode "$mode"
    expect "delivered at first" 0 "$(packets delivered)"
    balance --encapsulation gue --source 10.77.0.1
    expect "UDP through GUE, answered" 20 "$(ask udp 198.51.100.10 8080)"
    expect "UDP through GUE, delivered" 20 "$(packets delivered)"
    expect "TCP through GUE, answered" 200 "$(ask tcp 198.51.100.10 8080 --count 200)"
    balance --encapsulation gue --private-words 4 --source 10.77.0.1
    expect "TCP through GUE with private data, answered" 20 "$(ask tcp 198.51.100.10 8080)"
    balance --encapsulation ipip --source 10.77.0.1
    expect "UDP through IPIP, answered" 20 "$(ask udp 198.51.100.10 8080)"
    expect "TCP through IPIP, answered" 20 "$(ask tcp 198.51.100.10 8080)"
    expect_refused vip_not_allowed udp 198.51.100.11 8080
    balance --encapsulation ipip --source 10.77.0.9
    expect_refused balancer_not_allowed udp 198.51.100.10 8080
    balance --encapsulation gue --source 10.77.0.9
    expect_refused balancer_not_allowed udp 198.51.100.10 8080
    expect "not encapsulated: passed and answered" 20 "$(ask udp 10.77.0.2 8080)"
done

echo "== settings change in place"
before=$(packets delivered)
attach --allow-balancer 10.77.0.9 --vip 198.51.100.11 --gue-port 19523
balance --encapsulation gue --gue-port 19523 --source 10.77.0.9
expect "second balancer, second VIP, other port: answered" 20 "$(ask udp 198.51.100.11 8080)"
expect "the counters went on" $((before + 20)) "$(packets delivered)"

expect_exit 0 "detached" in_backend "$program" detach --interface b0
expect "XDP programs left on b0" 0 "$(ip -n "$backend" link show b0 | grep -c prog/xdp || true)"
expect_exit 0 "nothing was attached" in_backend "$program" detach --interface b0
echo "attach_test: passed"
