#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The second chance with real kernels: a client's TCP connection is held by backend c, while a balancer that
# knows nothing of it sends its packets to a, with the hops b and c. Four network namespaces around a bridge.
#   second_chance_test.sh PATH-TO-fairlead-backend
# Exit: 0 passed, 1 failed, 77 skipped (no privileges, or no tool for it).
set -euo pipefail

program=$(readlink -f "$1")
traffic=$(dirname "$(readlink -f "$0")")/attach_traffic.py
hub=chance-$$-hub # the client, the balancer, and the bridge
declare -A address=([a]=10.77.0.2 [b]=10.77.0.3 [c]=10.77.0.4)
vip=198.51.100.10
# shellcheck source=tests/unit/bpf/namespaces.sh
source "$(dirname "$(readlink -f "$0")")/namespaces.sh"

space() { echo "chance-$$-$1"; }
on() { # BACKEND COMMAND...
    local backend=$1
    shift
    ip netns exec "$(space "$backend")" "$@"
}

# XDP_TX on a veth needs a peer with an XDP program of its own: one that passes everything.
let_peer_receive() { # BACKEND
    ip netns exec "$hub" "$program" attach --interface "p$1" --allow-balancer 192.0.2.1 --vip 192.0.2.2 --gue-port 9 \
        --second-chance off >/dev/null
}

attach() { # BACKEND OPTIONS...
    local backend=$1
    shift
    on "$backend" "$program" attach --interface b0 --allow-balancer 10.77.0.1 --vip "$vip" --gue-port 19523 "$@"
}

packets() { # BACKEND OUTCOME...: their sum
    local backend=$1
    shift
    on "$backend" "$program" status --interface b0 -o json | python3 -c 'import json, sys
outcomes = json.load(sys.stdin)["outcomes"]
print(sum(outcomes[name]["packets"] for name in sys.argv[1:]))' "$@"
}

expect_some() { # WHAT COUNT
    (($2 > 0)) || fail "$1: none"
    echo "ok: $1: $2"
}

balancer=
balance() { # ARGUMENTS...: puts another balancer in place of the running one
    if [[ -n $balancer ]]; then
        kill "$balancer"
        wait "$balancer" 2>/dev/null || true
    fi
    start "$hub" balance --tun t0 --encapsulation gue --gue-port 19523 --source 10.77.0.1 "$@"
    balancer=$last
}

hold() { # opens a connection that says what became of it
    rm -f "$scratch/orders"
    mkfifo "$scratch/orders"
    : >"$scratch/answers"
    ip netns exec "$hub" timeout 120 python3 -IS "$traffic" hold "$vip" 8080 <"$scratch/orders" >"$scratch/answers" 2>&1 &
    started+=("$!")
    exec 9>"$scratch/orders"
    await_answers 1
    expect "a connection" ready "$(tail -n 1 "$scratch/answers")"
}

await_answers() { # COUNT
    local tries
    for ((tries = 0; tries < 600; ++tries)); do
        (($(wc -l <"$scratch/answers") >= $1)) && return
        sleep 0.05
    done
    fail "no answer: $(cat "$scratch/answers")"
}

say() { # COUNT: sends so many messages on the connection, prints what became of them
    local before
    before=$(wc -l <"$scratch/answers")
    echo "$1" >&9
    await_answers $((before + 1))
    tail -n 1 "$scratch/answers"
}

make_namespaces "$hub" "$(space a)" "$(space b)" "$(space c)"
ip -n "$hub" link add br0 type bridge
ip netns exec "$hub" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip -n "$hub" address add 10.77.0.1/24 dev br0
ip -n "$hub" link set br0 up
for backend in a b c; do
    ip -n "$hub" link add "p$backend" type veth peer name b0 netns "$(space "$backend")"
    # An encapsulated checksum left to hardware never gets done.
    ip netns exec "$hub" ethtool -K "p$backend" tx off >/dev/null
    ip -n "$hub" link set "p$backend" master br0 up
    on "$backend" sysctl -qw net.ipv4.conf.all.forwarding=0 net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1
    ip -n "$(space "$backend")" address add "${address[$backend]}/24" dev b0
    ip -n "$(space "$backend")" address add "$vip/32" dev lo
    ip -n "$(space "$backend")" link set lo up
    ip -n "$(space "$backend")" link set b0 up
    start "$(space "$backend")" serve "$vip" 8080
done
ip netns exec "$hub" ethtool -K br0 tx off >/dev/null
ip -n "$hub" tuntap add t0 mode tun
ip -n "$hub" link set t0 mtu 1300 up
ip -n "$hub" route add 198.51.100.0/24 dev t0 src 10.77.0.1
ip netns exec "$hub" sysctl -qw net.ipv4.conf.t0.rp_filter=0

await_quiet() { # until c has seen what a sent on: a delayed acknowledgement may still be under way
    local tries sent
    for ((tries = 0; tries < 100; ++tries)); do
        sent=$(packets a next_hop next_hop_kernel)
        [[ $sent == "$(packets c delivered_connection)" && $sent == "$(packets a next_hop next_hop_kernel)" ]] && return
    done
}

try() { # HOW: a connection through two backends that do not have it, and one that nobody has; HOW they send on
    local how=$1 backend
    ip -n "$(space a)" neighbour flush dev b0
    for backend in a b c; do
        expect "forwarding on $backend" 1 "$(on "$backend" cat /proc/sys/net/ipv4/conf/b0/forwarding)"
    done
    balance --backend "${address[c]}"
    hold
    expect "with a balancer that knows, answered" 50 "$(say 50)"
    balance --backend "${address[a]}" --hops "${address[b]}" "${address[c]}"
    expect "by two backends that do not have it, answered" 200 "$(say 200)"
    expect_some "a sent on by the kernel" "$(packets a next_hop_kernel)" # at least until it knew b's MAC address
    expect_some "a sent on by $how" "$(packets a "$how")"
    await_quiet
    expect "b sent on what a did" "$(packets a next_hop next_hop_kernel)" "$(packets b next_hop next_hop_kernel)"
    expect "c has it" "$(packets b next_hop next_hop_kernel)" "$(packets c delivered_connection)"
    if [[ $how == next_hop_kernel ]]; then expect "sent on by XDP" 0 "$(packets a next_hop)"; fi

    balance --backend "${address[a]}" --hops "${address[b]}"
    expect "nobody on the way has it" "Connection reset by peer" "$(say 1)"
    expect_some "the last on the way resets it" "$(packets b delivered_last)"
    exec 9>&-
    for backend in a b c; do on "$backend" "$program" detach --interface b0; done
    expect "forwarding afterwards" 0 "$(on a cat /proc/sys/net/ipv4/conf/b0/forwarding)"
}

for mode in native generic; do
    echo "== $mode, sent on by the kernel, as a veth needs it"
    for backend in a b c; do attach "$backend" --mode "$mode"; done
    try next_hop_kernel
done
for backend in a b c; do let_peer_receive "$backend"; done
for mode in native generic; do
    echo "== $mode, sent on by XDP"
    for backend in a b c; do attach "$backend" --mode "$mode" --transmit xdp; done
    try next_hop
done

echo "== switched off"
attach a --second-chance off
expect "forwarding" 0 "$(on a cat /proc/sys/net/ipv4/conf/b0/forwarding)"
for backend in b c; do attach "$backend"; done
balance --backend "${address[c]}"
hold
expect "with a balancer that knows, answered" 5 "$(say 5)"
balance --backend "${address[a]}" --hops "${address[b]}" "${address[c]}"
expect "without the second chance" "Connection reset by peer" "$(say 1)"
expect "sent on" 0 "$(packets a next_hop next_hop_kernel)"
attach a
balance --backend "${address[c]}"
exec 9>&-
hold
balance --backend "${address[a]}" --hops "${address[b]}" "${address[c]}"
expect "switched on again, answered" 5 "$(say 5)"
exec 9>&-
echo "second_chance_test: passed"
