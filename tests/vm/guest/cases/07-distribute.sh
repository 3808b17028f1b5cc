#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# More workers than queues: e1000e has one, and who receives it hands flows on. Both workers get their share, every connection stays whole, and
# no flow's packets overtake each other. The same where a NIC has queues enough and handing on was asked for.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kHeld=128 kUdpPort=7 kUdpFlows=64 kUdpRate=800 kUdpSeconds=4
need_network
need_bound "${kPairs[@]}"
need_balancer 2 e1000e virtio-rss -- --distribute on
check "e1000e hands on from its one queue" grep -qE 'worker [01] receives queue 0 and hands flows on to 1 others' "$kRun/dataplane.log"

per_worker() { stats '[.workers[] | {forwarded_packets, connections_opened, by_row, by_hops}]'; }
since() { jq -n --argjson before "$1" --argjson after "$(per_worker)" '[range($after | length) as $i | $after[$i] | with_entries(.value -= $before[$i][.key])]'; }
share() { jq "[.[].$1] | min / add" <<<"$load"; }

# What the dataplane lost, by reason. risen BEFORE : what it lost since, and how much.
drops() { stats '[.drops[] | {(.reason): .packets}] | add // {}'; }
risen() {
    jq -nr --argjson before "$1" --argjson after "$(drops)" \
        '[$after | to_entries[] | (.value - ($before[.key] // 0)) as $lost | select($lost > 0) | "\(.key) \($lost)"] | join(", ")'
}

# is_shared PAIR : TCP, whose connections stay; then numbered datagrams, of which each flow's come in order.
is_shared() {
    local pair=$1 before drops_before load number said
    check "$pair: the VIP answers" wait_until 15 vip_answers "$pair"
    before=$(per_worker)
    drops_before=$(drops)
    load_begin "${kVip[$pair]}"
    check "$pair: $kHeld connections are opened" load_ask 30 open "$kHeld" 100
    check "$pair: all are asked again" load_ask 30 ask 200
    check "$pair: none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
    load_ask 10 stop
    load_end
    load=$(since "$before")
    note "$pair: by worker: $(jq -c '[.[] | [.connections_opened, .forwarded_packets]]' <<<"$load") connections and packets"
    check "$pair: each worker opens at least a quarter of the connections" compare "$(share connections_opened)" ">=" 0.25
    check "$pair: each worker forwards at least a quarter of the packets" compare "$(share forwarded_packets)" ">=" 0.25
    check "$pair: no packet in mid-flow met a worker that did not know its connection" same "$(jq '[.[].by_hops] | add' <<<"$load")" 0
    check "$pair: the dataplane drops none of the connections' packets" same "$(risen "$drops_before")" ""

    fairlead service add "udp-$pair" --vip "${kVip[$pair]}" --port "$kUdpPort" --protocol udp >/dev/null
    for number in 1 2 3; do fairlead backend add "udp-$pair" "10.0.0.$((30 + number))" >/dev/null; done
    wait_until 20 agree
    before=$(per_worker)
    drops_before=$(drops)
    said=$(taskset -c 0 ip netns exec client "$programs/udp_load" "${kVip[$pair]}" "$kUdpPort" --flows "$kUdpFlows" --rate "$kUdpRate" --seconds "$kUdpSeconds" --linger 3)
    load=$(since "$before")
    note "$pair: $said; by worker $(jq -c '[.[].forwarded_packets]' <<<"$load")"
    check "$pair: datagrams of $kUdpFlows flows are answered, none twice, nowhere else" quietly jq -e '.received > .sent * 0.9 and .wrong == 0 and .moved == 0' <<<"$said"
    # What an emulated client or echo does not take in time is lost beside the dataplane; this is not.
    check "$pair: the dataplane drops none of them, neither between its workers nor before a full transmit queue" same "$(risen "$drops_before")" ""
    check "$pair: no flow's datagrams overtake each other" same "$(jq .reordered <<<"$said")" 0
    check "$pair: each worker forwards at least a quarter of them" compare "$(share forwarded_packets)" ">=" 0.25
}

# An echo at each backend's VIP; they end with their standard input. Who sends numbered datagrams stays on one CPU: moved to another, its
# next packet may overtake the last one, in the kernel's queues for each CPU.
echoes=()
tidy() { for started in "${echoes[@]}"; do kill -- "-$started" 2>/dev/null || true; done; }
start_echo() {                 # start_echo NUMBER VIP
    # shellcheck disable=SC2016
    launch "be$1.echo" bash -c 'sleep infinity | exec taskset -c 1 ip netns exec "$@"' start_echo "be$1" "$programs/udp_echo" "$2" "$kUdpPort" --name "be$1"
    echoes+=("$started")
}
for pair in e1000e virtio-rss; do
    for number in 1 2 3; do start_echo "$number" "${kVip[$pair]}"; done
    is_shared "$pair"
done
finish
