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
before=$(counters)
load_begin "${kVip[virtio-rss]}"
check "$kHeld connections are opened" load_ask 30 open "$kHeld" 100
check "all are asked again" load_ask 30 ask 200
check "none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
load_ask 10 stop
load_end
counted_since "$before"
note "by worker: $by_worker connections and packets"
# Of 128 flows, fewer than 32 on one of two queues by chance: less than once in a hundred million runs.
check "each worker opens at least a quarter of the connections" compare "$opened_share" ">=" 0.25
check "each worker forwards at least a quarter of the packets" compare "$forwarded_share" ">=" 0.25
check "no packet in mid-flow met a worker that did not know its connection" same "$by_hops" 0
finish
