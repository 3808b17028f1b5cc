#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR/.. disable=SC2154,SC2317
# Real TCP through each kind of NIC, in at the bound NIC and out of it again to a backend, while a backend is added.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"
# shellcheck source=../network.sh
source "$(dirname "${BASH_SOURCE[0]}")/../network.sh"
# shellcheck source=../balancer.sh
source "$(dirname "${BASH_SOURCE[0]}")/../balancer.sh"
# shellcheck source=../load.sh
source "$(dirname "${BASH_SOURCE[0]}")/../load.sh"

readonly kHeld=100 kShort=50
need_network
need_bound "${kPairs[@]}"
check "the dataplane runs on a NIC of each kind" need_balancer 1 "${kPairs[@]}"
grep -E 'hugepages' "$kRun/dataplane.log" | tail -n 1 | sed 's/^/# /'

# forwards PAIR : the same of each kind.
forwards() {
    local pair=$1 before by_connection
    check "$pair: the VIP answers" wait_until 15 vip_answers "$pair"
    before=$(stats '[.workers[].by_connection] | add')
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
    by_connection=$(($(stats '[.workers[].by_connection] | add') - before))
    note "$pair: $by_connection packets by the connection table"
    check "$pair: its packets went by the connection table" compare "$by_connection" ">" $((kHeld * 4))
    check "$pair: its service opened the connections" compare "$(stats ".services[] | select(.name == \"$pair\") | .connections_opened")" ">=" $((kHeld + kShort))
}
for pair in "${kPairs[@]}"; do forwards "$pair"; done
note "drops: $(stats '[.drops[] | select(.packets > 0) | "\(.reason) \(.packets)"] | join(", ")')"
finish
