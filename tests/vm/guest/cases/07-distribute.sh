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

# is_shared PAIR : TCP, whose connections stay; then numbered datagrams, of which each flow's come in order.
is_shared() {
    local pair=$1 before number said by_worker opened_share forwarded_share by_hops lost
    check "$pair: the VIP answers" wait_until 15 vip_answers "$pair"
    before=$(counters)
    load_begin "${kVip[$pair]}"
    check "$pair: $kHeld connections are opened" load_ask 30 open "$kHeld" 100
    check "$pair: all are asked again" load_ask 30 ask 200
    check "$pair: none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
    load_ask 10 stop
    load_end
    counted_since "$before"
    note "$pair: by worker: $by_worker connections and packets"
    check "$pair: each worker opens at least a quarter of the connections" compare "$opened_share" ">=" 0.25
    check "$pair: each worker forwards at least a quarter of the packets" compare "$forwarded_share" ">=" 0.25
    check "$pair: no packet in mid-flow met a worker that did not know its connection" same "$by_hops" 0
    check "$pair: the dataplane drops none of the connections' packets" same "$lost" ""

    fairlead service add "udp-$pair" --vip "${kVip[$pair]}" --port "$kUdpPort" --protocol udp >/dev/null
    for number in 1 2 3; do fairlead backend add "udp-$pair" "10.0.0.$((30 + number))" >/dev/null; done
    wait_until 20 agree
    before=$(counters)
    said=$(taskset -c 0 ip netns exec client "$programs/udp_load" "${kVip[$pair]}" "$kUdpPort" --flows "$kUdpFlows" --rate "$kUdpRate" --seconds "$kUdpSeconds" --linger 3)
    counted_since "$before"
    note "$pair: $said; by worker: $by_worker connections and packets"
    check "$pair: datagrams of $kUdpFlows flows are answered, none twice, nowhere else" quietly jq -e '.received > .sent * 0.9 and .wrong == 0 and .moved == 0' <<<"$said"
    # What an emulated client or echo does not take in time is lost beside the dataplane; this is not.
    check "$pair: the dataplane drops none of them, neither between its workers nor before a full transmit queue" same "$lost" ""
    check "$pair: no flow's datagrams overtake each other" same "$(jq .reordered <<<"$said")" 0
    check "$pair: each worker forwards at least a quarter of them" compare "$forwarded_share" ">=" 0.25
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
