#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# Real TCP through each kind of NIC, in at the bound NIC and out of it again to a backend, while a backend is added.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kHeld=100 kShort=50
need_network
need_bound "${kPairs[@]}"
check "the dataplane runs on a NIC of each kind" need_balancer 2 "${kPairs[@]}"
check "it uses hugepages" grep -q 'forwards on 4 port(s) with 2 worker(s), hugepages' "$kRun/dataplane.log"

sums() { stats '[.workers[] | {by_connection, by_row, by_hops, connections_opened}] | map(to_entries[]) | group_by(.key) | map({(.[0].key): (map(.value) | add)}) | add'; }

# forwards PAIR : the same with each kind.
forwards() {
    local pair=$1 before counted
    check "$pair: the VIP answers" wait_until 15 vip_answers "$pair"
    before=$(sums)
    load_begin "${kVip[$pair]}"
    check "$pair: $kHeld connections are opened" load_ask 30 open "$kHeld" 100
    check "$pair: each is answered" same "$(field '[.held.opened, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
    fairlead backend add "$pair" 10.0.0.34 >/dev/null
    check "$pair: after a backend was added, all are asked again" load_ask 30 ask 200
    check "$pair: none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
    check "$pair: $kShort new connections are made" load_ask 30 short "$kShort" 4
    check "$pair: each is answered" same "$(field .short.answers)" "$kShort"
    check "$pair: some by the new backend" compare "$(field '.short.backends.be4 // 0')" ">" 0
    load_ask 10 stop
    load_end
    counted=$(jq -c -n --argjson before "$before" --argjson after "$(sums)" '$after | with_entries(.value -= $before[.key])')
    note "$pair: $counted"
    # A SYN goes by its row, and so does one that is sent again; all that follows goes by the connection.
    # shellcheck disable=SC2016
    check "$pair: the row table placed new connections, the connection table all that followed" \
        quietly jq -e --argjson opened $((kHeld + kShort)) '.connections_opened == $opened and .by_row >= $opened and .by_row < $opened * 1.5
            and .by_connection > $opened * 4 and .by_hops == 0' <<<"$counted"
}
for pair in e1000e vmxnet3 virtio; do forwards "$pair"; done
note "drops: $(stats '[.drops[] | select(.packets > 0) | "\(.reason) \(.packets)"] | join(", ")')"
finish
