#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# A NIC that spreads flows over its queues (virtio-net with RSS): each of two workers gets a share, and keeps its connections.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kHeld=128
need_network
need_bound "${kPairs[@]}"
need_balancer 2 "${kPairs[@]}"
check "the VIP answers" wait_until 15 vip_answers virtio-rss
per_worker() { stats '[.workers[] | {forwarded_packets, connections_opened, by_row, by_hops}]'; }
before=$(per_worker)
load_begin "${kVip[virtio-rss]}"
check "$kHeld connections are opened" load_ask 30 open "$kHeld" 100
check "all are asked again" load_ask 30 ask 200
check "none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
load_ask 10 stop
load_end
load=$(jq -n --argjson before "$before" --argjson after "$(per_worker)" \
    '[range($after | length) as $i | $after[$i] | with_entries(.value -= $before[$i][.key])]')
share() { jq "[.[].$1] | min / add" <<<"$load"; }
note "by worker: $(jq -c '[.[] | [.connections_opened, .forwarded_packets]]' <<<"$load") connections and packets"
# Of 128 flows, fewer than 32 on one of two queues by chance: less than once in a hundred million runs.
check "each worker opens at least a quarter of the connections" compare "$(share connections_opened)" ">=" 0.25
check "each worker forwards at least a quarter of the packets" compare "$(share forwarded_packets)" ">=" 0.25
check "no packet in mid-flow met a worker that did not know its connection" same "$(jq '[.[].by_hops] | add' <<<"$load")" 0
finish
